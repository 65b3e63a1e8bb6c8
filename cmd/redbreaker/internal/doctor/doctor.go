// Package doctor examines a Redis and the breakers in it, and says of everything that is
// wrong what to do about it.
//
// A check never changes a breaker. Some checks write a scratch key of the namespace, the one
// that Ping uses, which expires within a minute.
package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
)

// Storage reads the records that the checks examine.
type Storage interface {
	engine.Lister
	engine.ManyInspector
}

// Patient is a Redis to examine.
type Patient struct {
	Client    redis.UniversalClient
	Storage   Storage
	Keys      cluster.Keys
	Namespace string
	Where     string        // names the servers, for messages
	Timeout   time.Duration // of one command
}

// exam is one examination.
type exam struct {
	Patient
	nodes    []node // the masters that answer
	scripts  bool   // whether the user may run scripts by EVAL
	findings []Finding
}

// node is a master.
type node struct {
	addr   string
	client *redis.Client
}

// Examine runs all checks and returns their findings, in the order of the checks. Each check
// has at least one finding. If no server answers, the other checks are not run.
func Examine(ctx context.Context, p Patient) []Finding {
	e := &exam{Patient: p}
	e.checkConnection(ctx)
	if len(e.nodes) == 0 {
		return e.findings
	}
	for _, c := range []struct {
		name string
		run  func(context.Context)
	}{
		{"rights", e.checkRights},
		{"version", e.checkVersion},
		{"lua", e.checkLua},
		{"isolation", e.checkIsolation},
		{"memory", e.checkMemory},
		{"clock", e.checkClock},
		{"coverage", e.checkCoverage},
		{"push", e.checkPush},
		{"latency", e.checkLatency},
		{"records", e.checkRecords},
		{"index", e.checkIndex},
	} {
		before := len(e.findings)
		c.run(ctx)
		if ctx.Err() != nil {
			e.add(Finding{c.name, Error, "", "interrupted: " + ctx.Err().Error(), "run it again"})
			return e.findings
		}
		if len(e.findings) == before {
			e.add(Finding{Check: c.name, What: "nothing is wrong"})
		}
	}
	return e.findings
}

func (e *exam) add(f Finding) { e.findings = append(e.findings, f) }

// checkConnection finds the masters, and asks each for an answer.
func (e *exam) checkConnection(ctx context.Context) {
	masters, err := e.findMasters(ctx)
	if err != nil {
		e.add(Finding{"connection", Error, "", fmt.Sprintf("%s: %v", e.Where, err), "check the addresses, whether the servers run, and the user and password"})
		return
	}
	for _, n := range masters {
		bounded, cancel := context.WithTimeout(ctx, e.Timeout)
		err := n.client.Do(bounded, "time").Err()
		cancel()
		if err != nil && !isDenied(err) && !isUnknown(err) {
			e.add(Finding{"connection", Error, n.addr, "no answer: " + err.Error(), "check whether the server runs, and whether this machine may connect to it; breakers of its slots use their fallback"})
			continue
		}
		e.nodes = append(e.nodes, n)
	}
	if len(e.nodes) == len(masters) {
		e.add(Finding{Check: "connection", What: fmt.Sprintf("%s: %s", e.Where, countNodes(len(masters)))})
	}
}

// findMasters returns the masters of a cluster, or the one server.
func (e *exam) findMasters(ctx context.Context) ([]node, error) {
	switch c := e.Client.(type) {
	case *redis.ClusterClient:
		found := make(chan node, 1000)
		if err := c.ForEachMaster(ctx, func(_ context.Context, m *redis.Client) error {
			found <- node{m.Options().Addr, m}
			return nil
		}); err != nil {
			return nil, err
		}
		close(found)
		var all []node
		for n := range found {
			all = append(all, n)
		}
		sortNodes(all)
		return all, nil
	case *redis.Client:
		return []node{{c.Options().Addr, c}}, nil
	}
	return nil, fmt.Errorf("a client of type %T cannot be examined", e.Client)
}

func (e *exam) isCluster() bool {
	_, ok := e.Client.(*redis.ClusterClient)
	return ok
}

// scratchKey returns a key that no breaker can have.
func (e *exam) scratchKey() string {
	for key := range e.Keys.PingKeys() {
		return key
	}
	return ""
}

func countNodes(n int) string {
	if n == 1 {
		return "1 server answers"
	}
	return fmt.Sprintf("%d masters answer", n)
}
