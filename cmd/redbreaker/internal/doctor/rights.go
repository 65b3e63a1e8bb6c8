package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// attempt is a command whose right is tried, on the scratch key. An answer of any kind other
// than a refusal is a right: rights are checked before types, arguments and slots.
type attempt struct {
	right   string // as an ACL names it
	args    []any
	missing Severity
	need    string // what does not work without it
}

// attempts returns the commands that breakers, listings and watchers use.
func (e *exam) attempts() []attempt {
	key := e.scratchKey()
	const (
		step  = "breakers do not work"
		index = "breakers are not listed"
		list  = "ls does not work"
		push  = "transitions are not published"
	)
	all := []attempt{
		{"evalsha", []any{"evalsha", strings.Repeat("0", 40), 1, key}, Error, step},
		{"eval", []any{"eval", "return 1", 1, key}, Note, "scripts must be loaded"},
		{"script|load", []any{"script", "load", "return 1"}, Note, "scripts are sent with each call"},
		{"time", []any{"time"}, Error, step},
		{"type", []any{"type", key}, Error, step},
		{"hget", []any{"hget", key, "ping"}, Error, step},
		{"hmget", []any{"hmget", key, "ping"}, Error, step},
		{"hgetall", []any{"hgetall", key}, Error, step},
		{"hset", []any{"hset", key, "ping", "pong"}, Error, step},
		{"hdel", []any{"hdel", key, "gone"}, Error, step},
		{"persist", []any{"persist", key}, Error, step},
		{"pexpire", []any{"pexpire", key, 1000}, Error, step},
		{"publish", []any{"publish", e.Keys.PingChannel(), "doctor"}, Warning, push},
		{"zadd", []any{"zadd", key, 0, "ping"}, Warning, index},
		{"zrangebyscore", []any{"zrangebyscore", key, 0, 0}, Warning, index},
		{"zrem", []any{"zrem", key, "ping"}, Warning, index},
		{"zscore", []any{"zscore", key, "ping"}, Warning, index},
		{"zscan", []any{"zscan", key, 0}, Note, list},
	}
	if e.isCluster() {
		all = append(all,
			attempt{"cluster|slots", []any{"cluster", "slots"}, Error, step},
			attempt{"asking", []any{"asking"}, Warning, "steps fail while a slot moves"},
			attempt{"readonly", []any{"readonly"}, Note, "clients that read from replicas do not work"},
			attempt{"command", []any{"command", "count"}, Note, "clients that read from replicas do not work"})
	}
	return all
}

// checkRights tries every command on every master.
func (e *exam) checkRights(ctx context.Context) {
	e.scripts = true
	for _, n := range e.nodes {
		e.checkRightsOf(ctx, n)
	}
}

// checkRightsOf tries every command on a connection of its own, because READONLY changes it.
func (e *exam) checkRightsOf(ctx context.Context, n node) {
	conn := n.client.Conn()
	defer conn.Close()
	user := userOf(ctx, conn)
	denied := map[string]attempt{}
	var keys, channels bool
	for _, a := range e.attempts() {
		bounded, cancel := context.WithTimeout(ctx, e.Timeout)
		err := conn.Do(bounded, a.args...).Err()
		cancel()
		switch {
		case isKeyDenied(err):
			keys = true
		case isChannelDenied(err):
			channels = true
		case isUnknown(err):
			name := strings.ToUpper(fmt.Sprint(a.args[0]))
			e.add(Finding{"rights", a.missing, n.addr, fmt.Sprintf("the server does not know %s: %s", name, a.need),
				fmt.Sprintf("remove rename-command for %s from its configuration, or let the proxy pass it", name)})
			denied[a.right] = attempt{}
		case isDenied(err):
			denied[a.right] = a
		}
	}
	if keys {
		e.add(Finding{"rights", Error, n.addr, fmt.Sprintf("the user %s may not use the keys of the namespace %s", user, e.Namespace),
			fmt.Sprintf("ACL SETUSER %s ~%s:*; or correct the namespace", user, e.Namespace)})
	}
	if channels {
		e.add(Finding{"rights", Warning, n.addr, fmt.Sprintf("the user %s may not publish on channels of the namespace %s", user, e.Namespace),
			fmt.Sprintf("ACL SETUSER %s &%s:*", user, e.Namespace)})
	}
	e.addDenied(n, user, denied)
	_, noEval := denied["eval"]
	e.scripts = e.scripts && !noEval && !keys
}

// addDenied adds the rights that are missing, a finding for each severity.
func (e *exam) addDenied(n node, user string, denied map[string]attempt) {
	eval, noEval := denied["eval"]
	load, noLoad := denied["script|load"]
	if noEval && noLoad { // either is enough
		eval.missing, eval.need = Error, "breakers do not work"
		load.missing, load.need = Error, "breakers do not work"
		denied["eval"], denied["script|load"] = eval, load
	}
	for _, severity := range []Severity{Error, Warning, Note} {
		var commands, rights, needs []string
		for _, a := range e.attempts() {
			d, missing := denied[a.right]
			if !missing || d.right == "" || d.missing != severity {
				continue
			}
			commands = append(commands, strings.ToUpper(strings.ReplaceAll(d.right, "|", " ")))
			rights = append(rights, "+"+d.right)
			if !slices.Contains(needs, d.need) {
				needs = append(needs, d.need)
			}
		}
		if len(commands) > 0 {
			e.add(Finding{"rights", severity, n.addr, fmt.Sprintf("the user %s may not run %s: %s", user, strings.Join(commands, ", "), strings.Join(needs, ", ")),
				fmt.Sprintf("ACL SETUSER %s %s", user, strings.Join(rights, " "))})
		}
	}
}

// userOf returns the name of the user.
func userOf(ctx context.Context, conn *redis.Conn) string {
	if name, err := conn.Do(ctx, "acl", "whoami").Text(); err == nil {
		return name
	}
	return "USER"
}
