package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

func TestMain(m *testing.M) {
	logging.Disable()
	goleak.VerifyTestMain(m)
}

const namespace = "shop"

// newPatient returns the patient behind a client.
func newPatient(t *testing.T, client redis.UniversalClient) Patient {
	t.Helper()
	keys, err := cluster.New(namespace)
	if err != nil {
		t.Fatal(err)
	}
	const timeout = 10 * time.Second
	store, err := storage.NewRedis(client, storage.WithNamespace(namespace), storage.WithTimeout(timeout))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return Patient{Client: client, Storage: store, Keys: keys, Namespace: namespace, Where: "the server", Timeout: timeout}
}

// examine examines the server behind a client.
func examine(t *testing.T, client redis.UniversalClient) []Finding {
	t.Helper()
	return Examine(t.Context(), newPatient(t, client))
}

// newExam returns an examination of servers for one check.
func newExam(t *testing.T, clients ...*redis.Client) *exam {
	t.Helper()
	e := &exam{Patient: newPatient(t, clients[0]), scripts: true}
	for _, c := range clients {
		e.nodes = append(e.nodes, node{c.Options().Addr, c})
	}
	return e
}

// requireFinding fails unless there is a finding with these texts.
func requireFinding(t *testing.T, findings []Finding, check string, severity Severity, what, do string) {
	t.Helper()
	for _, f := range findings {
		if f.Check == check && f.Severity == severity && strings.Contains(f.What, what) && strings.Contains(f.Do, do) {
			return
		}
	}
	t.Errorf("no %v of %s: %q, do %q, among:\n%s", severity, check, what, do, describe(findings))
}

func describe(findings []Finding) string {
	var text strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&text, "%v %s %s: %s\n\tdo: %s\n", f.Severity, f.Check, f.Node, f.What, f.Do)
	}
	return text.String()
}

// A healthy server has no finding except of its version, and of this machine's load.
func TestExamine_healthy(t *testing.T) {
	client := redistest.Start(t).Client()
	putRecord(t, client, "payments", true, closedRecord(t, client, 0))
	findings := examine(t, client)
	checked := map[string]bool{}
	for _, f := range findings {
		checked[f.Check] = true
		if f.Severity > OK && f.Check != "version" && f.Check != "latency" {
			t.Errorf("a healthy server has the finding %+v", f)
		}
		if (f.Do == "") != (f.Severity == OK) {
			t.Errorf("a finding that is not OK says what to do, and no other: %+v", f)
		}
	}
	for _, check := range []string{"connection", "rights", "version", "lua", "isolation", "memory", "clock", "coverage", "push", "latency", "records", "index"} {
		if !checked[check] {
			t.Errorf("no finding of %s", check)
		}
	}
	if keys := client.Keys(t.Context(), "*").Val(); len(keys) != 3 || client.PTTL(t.Context(), "shop:{#ping}").Val() > time.Minute {
		t.Errorf("left: %q; want the record, its part of the index, and the scratch key that expires", keys)
	}
}

func TestExamine_unreachable(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", DialerRetries: 1})
	defer client.Close()
	findings := examine(t, client)
	requireFinding(t, findings, "connection", Error, "connection refused", "check whether the server runs")
	if len(findings) != 1 {
		t.Errorf("got\n%s", describe(findings))
	}
}

var aclLine = regexp.MustCompile(`(?m)^ACL SETUSER breaker on >secret ~shop:\* &shop:\* (.*)$`)

// documentedRights returns the rights of a service that docs/operations.md lists: on a
// single server, and on a cluster.
func documentedRights(t *testing.T) (single, cluster []string) {
	t.Helper()
	page, err := os.ReadFile("../../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := aclLine.FindAllStringSubmatch(string(page), -1)
	if len(lines) != 2 {
		t.Fatalf("the page has %d ACL lines of a service, want 2", len(lines))
	}
	return strings.Fields(lines[0][1]), strings.Fields(lines[1][1])
}

// The rights that are tried are those that the page lists.
func TestAttempts_areDocumented(t *testing.T) {
	single, clustered := documentedRights(t)
	rights := func(client redis.UniversalClient) []string {
		var all []string
		e := exam{Patient: newPatient(t, client)}
		for _, a := range e.attempts() {
			if a.right != "zscan" { // of a viewer
				all = append(all, "+"+a.right)
			}
		}
		slices.Sort(all)
		return all
	}
	one := redis.NewClient(&redis.Options{})
	many := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	defer one.Close()
	defer many.Close()
	slices.Sort(single)
	slices.Sort(clustered)
	if diff := cmp.Diff(single, rights(one)); diff != "" {
		t.Errorf("a single server (-page +attempts):\n%s", diff)
	}
	if diff := cmp.Diff(clustered, rights(many)); diff != "" {
		t.Errorf("a cluster (-page +attempts):\n%s", diff)
	}
}

// asUser returns a client of a user with these rules.
func asUser(t *testing.T, s *redistest.Server, rules ...string) *redis.Client {
	t.Helper()
	args := []any{"acl", "setuser", "breaker", "reset", "on", ">secret"}
	for _, r := range rules {
		args = append(args, r)
	}
	if err := s.Admin().Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: s.Addr(), Username: "breaker", Password: "secret"})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Each right that is missing is found, with the line that grants it.
func TestRights_eachMissing(t *testing.T) {
	s := redistest.Start(t)
	single, _ := documentedRights(t)
	all := append([]string{"~shop:*", "&shop:*", "+acl|whoami", "+zscan"}, single...)
	e := newExam(t, asUser(t, s, all...))
	e.checkRights(t.Context())
	if len(e.findings) != 0 {
		t.Errorf("the documented rights have findings:\n%s", describe(e.findings))
	}
	for _, a := range e.attempts() {
		right := "+" + a.right
		e := newExam(t, asUser(t, s, slices.DeleteFunc(slices.Clone(all), func(r string) bool { return r == right })...))
		e.checkRights(t.Context())
		requireFinding(t, e.findings, "rights", a.missing, "the user breaker may not run "+strings.ToUpper(strings.ReplaceAll(a.right, "|", " "))+": "+a.need, "ACL SETUSER breaker "+right)
		if len(e.findings) != 1 {
			t.Errorf("without %s:\n%s", right, describe(e.findings))
		}
	}
}

func TestRights_combinations(t *testing.T) {
	s := redistest.Start(t)
	for name, tt := range map[string]struct {
		rules    []string
		severity Severity
		what, do string
	}{
		"neither EVAL nor SCRIPT LOAD": {[]string{"~shop:*", "&shop:*", "+@all", "-eval", "-script|load"}, Error, "may not run EVAL, SCRIPT LOAD: breakers do not work", "ACL SETUSER breaker +eval +script|load"},
		"other keys":                   {[]string{"~other:*", "&shop:*", "+@all"}, Error, "may not use the keys of the namespace shop", "ACL SETUSER breaker ~shop:*"},
		"other channels":               {[]string{"~shop:*", "resetchannels", "+@all"}, Warning, "may not publish on channels of the namespace shop", "ACL SETUSER breaker &shop:*"},
		"no name":                      {[]string{"~shop:*", "&shop:*", "+@all", "-acl", "-hset"}, Error, "the user USER may not run HSET", "ACL SETUSER USER +hset"},
	} {
		t.Run(name, func(t *testing.T) {
			requireFinding(t, examine(t, asUser(t, s, tt.rules...)), "rights", tt.severity, tt.what, tt.do)
		})
	}
}

// A user who may do nothing gets findings, and no check panics.
func TestExamine_userWithoutRights(t *testing.T) {
	findings := examine(t, asUser(t, redistest.Start(t)))
	for _, check := range []string{"lua", "isolation", "version", "memory", "clock", "push", "latency", "index"} {
		if !slices.ContainsFunc(findings, func(f Finding) bool { return f.Check == check && f.Severity > OK }) {
			t.Errorf("no finding of %s:\n%s", check, describe(findings))
		}
	}
}

func TestRights_renamedCommand(t *testing.T) {
	client := redistest.Start(t, "--rename-command", "HGETALL", "hidden").Client()
	requireFinding(t, examine(t, client), "rights", Error, "the server does not know HGETALL: breakers do not work", "remove rename-command for HGETALL")
}

func TestMemory(t *testing.T) {
	client := redistest.Start(t).Client()
	set := func(name, value string) {
		t.Helper()
		if err := client.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(severity Severity, what, do string) {
		t.Helper()
		e := newExam(t, client)
		e.checkMemory(t.Context())
		requireFinding(t, e.findings, "memory", severity, what, do)
	}
	set("maxmemory-policy", "allkeys-lru")
	check(Note, "without effect as long as maxmemory is 0", "noeviction")
	set("maxmemory", "100mb")
	check(Warning, "maxmemory-policy is allkeys-lru", "CONFIG SET maxmemory-policy noeviction")
	set("maxmemory-policy", "noeviction")
	info := client.Info(t.Context(), "memory").Val()
	used, err := strconv.Atoi(infoField(info, "used_memory"))
	if err != nil {
		t.Fatal(err)
	}
	set("maxmemory", strconv.Itoa(used+used/20))
	check(Warning, "writes will be refused (OOM)", "raise maxmemory")
}

func TestVersions(t *testing.T) {
	for _, tt := range []struct {
		info     string
		severity Severity
		what     string
	}{
		{"redis_version:5.0.14", Error, "Redis 5.0.14 is too old"},
		{"redis_version:6.0.16", Warning, "CVE-2022-24834 (remote code execution), CVE-2024-31449"},
		{"redis_version:7.0.15", Warning, "CVE-2024-31449 (remote code execution), CVE-2024-46981 (remote code execution), CVE-2025-46817"},
		{"redis_version:7.2.6", Warning, "in this version: CVE-2024-46981"},
		{"redis_version:7.4.5", Warning, "in this version: CVE-2025-46817"},
		{"redis_version:7.4.6", OK, "Redis 7.4.6 has no published vulnerability"},
		{"redis_version:8.0.3", Warning, "CVE-2025-49844 (remote code execution)"},
		{"redis_version:8.2.2", OK, "Redis 8.2.2 has no"},
		{"redis_version:8.4.0", OK, "Redis 8.4.0 has no"},
		{"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.3", Warning, "Valkey 8.1.3 has published vulnerabilities of its Lua, unless your distribution has fixed them in this version: CVE-2025-46817"},
		{"redis_version:7.2.4\r\nvalkey_version:8.1.4", OK, "Valkey 8.1.4 has no"},
		{"redis_version:7.2.4\r\nvalkey_version:9.0.0-rc1", OK, "Valkey 9.0.0 has no"},
		{"redis_version:6.2.11\r\ndragonfly_version:df-1.2", Note, "the server is dragonfly"},
		{"redis_version:unstable", Note, `the version "unstable" is not a release`},
	} {
		e := &exam{}
		e.checkRelease(node{}, tt.info)
		requireFinding(t, e.findings, "version", tt.severity, tt.what, "")
		if len(e.findings) != 1 {
			t.Errorf("%s: %d findings", tt.info, len(e.findings))
		}
	}
}

// The page cites each advisory that doctor knows.
func TestAdvisories_areDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range append(advisories, advisory{id: "CVE-2022-0543"}) {
		if !strings.Contains(string(page), a.id) {
			t.Errorf("docs/operations.md does not cite %s", a.id)
		}
		for _, fixes := range [][]version{a.redis, a.valkey} {
			if !slices.IsSortedFunc(fixes, func(v, w version) int {
				if v.isBefore(w) {
					return -1
				}
				return 1
			}) {
				t.Errorf("%s: the releases are not in order", a.id)
			}
		}
	}
}

func TestClock(t *testing.T) {
	right, rdb := redistest.Mini(t)
	wrong, other := redistest.Mini(t)
	right.SetTime(time.Now())
	for _, tt := range []struct {
		clock    time.Time
		severity Severity
		what     string
	}{
		{time.Now().Add(time.Hour), Warning, "the server's clock is ahead of this machine's by "},
		{time.Now().Add(time.Hour), Warning, "the clock is ahead of that of " + right.Addr() + " by "},
		{time.Now().Add(-time.Hour), Warning, "the server's clock is behind this machine's by "},
		{time.UnixMilli(1 << 43), Error, "clock"},
	} {
		wrong.SetTime(tt.clock)
		right.SetTime(time.Now())
		e := newExam(t, rdb, other)
		e.checkClock(t.Context())
		requireFinding(t, e.findings, "clock", tt.severity, tt.what, "")
	}
}

// A cluster with a slot that no master serves, and with a master that is down.
func TestCoverage(t *testing.T) {
	servers := redistest.StartCluster(t, 3)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{servers[0].Addr()}, DialerRetries: 1, MaxRedirects: 1})
	t.Cleanup(func() { _ = client.Close() })
	findings := examine(t, client)
	requireFinding(t, findings, "connection", OK, "3 masters answer", "")
	requireFinding(t, findings, "coverage", Note, "cluster-require-full-coverage is yes", "CONFIG SET cluster-require-full-coverage no")
	for _, f := range findings {
		if f.Severity > Note && f.Check != "version" && f.Check != "latency" {
			t.Errorf("a healthy cluster has the finding %+v", f)
		}
	}
	e := &exam{Patient: newPatient(t, client)}
	e.checkConnection(t.Context())
	// A node that has forgotten a slot learns of it again from one that has not yet.
	for deadline := time.Now().Add(20 * time.Second); ; {
		for _, s := range servers {
			for _, slot := range []any{7000, 7001, 9999} {
				_ = s.Admin().Do(t.Context(), "cluster", "delslots", slot).Err()
			}
		}
		e.findings = nil
		if e.checkCoverage(t.Context()); Worst(e.findings) == Error || time.Now().After(deadline) {
			break
		}
	}
	requireFinding(t, e.findings, "coverage", Error, "no master serves the slots 7000-7001, 9999", "redis-cli --cluster fix")

	servers[2].Kill()
	e = &exam{Patient: newPatient(t, client)}
	e.checkConnection(t.Context())
	requireFinding(t, e.findings, "connection", Error, "no answer", "check whether the server runs")
	if len(e.nodes) != 2 {
		t.Errorf("%d masters answer, want 2", len(e.nodes))
	}
}

func TestUncoveredSlots(t *testing.T) {
	served := []bool{false, true, false, false, true, false, true, false, true, false, true, false, true, false}
	if got, want := uncoveredSlots(served), "0, 2-3, 5, 7, 9, and 2 more ranges"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPush(t *testing.T) {
	s := redistest.Start(t)
	for right, want := range map[string]string{"-subscribe": "ACL SETUSER USER +subscribe", "resetchannels": "ACL SETUSER USER &shop:*"} {
		e := newExam(t, asUser(t, s, "~shop:*", "&shop:*", "+@all", right))
		e.checkPush(t.Context())
		requireFinding(t, e.findings, "push", Note, "may not subscribe", want)
	}
	m, rdb := redistest.Mini(t)
	m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd == "PUBLISH" { // as a proxy that passes no pub/sub
			c.WriteInt(0)
		}
		return cmd == "PUBLISH"
	})
	e := newExam(t, rdb)
	// On a busy machine the subscription may take longer than a short timeout.
	for e.Timeout = 100 * time.Millisecond; e.Timeout < time.Minute; e.Timeout *= 2 {
		e.findings = nil
		e.checkPush(t.Context())
		if strings.Contains(describe(e.findings), "does not arrive") {
			break
		}
	}
	requireFinding(t, e.findings, "push", Warning, "a published message does not arrive", "check for a proxy")
}

func TestLatency(t *testing.T) {
	proxy := faultproxy.Start(t, redistest.Addr(t))
	proxy.Set(faultproxy.Delay(100 * time.Millisecond))
	client := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
	defer client.Close()
	e := newExam(t, client)
	e.checkLatency(t.Context())
	requireFinding(t, e.findings, "latency", Warning, "the median took", "set storage.WithTimeout to ")
	e = &exam{}
	e.judgeLatency(node{}, time.Millisecond, storage.DefaultTimeout/3, 50)
	requireFinding(t, e.findings, "latency", OK, "of 50 round trips, the median took 1ms", "")
}

// A server that runs scripts unlocked, as some that speak the protocol do.
func TestIsolation(t *testing.T) {
	m, rdb := redistest.Mini(t)
	e := newExam(t, rdb)
	e.checkIsolation(t.Context())
	if len(e.findings) > 0 {
		t.Errorf("a server that locks:\n%s", describe(e.findings))
	}
	var both sync.WaitGroup // both scripts read before either writes
	both.Add(2)
	var first sync.Map
	m.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		if cmd != "EVAL" {
			return false
		}
		n, _ := strconv.Atoi(m.HGet("shop:{#ping}", args[3]))
		if _, again := first.LoadOrStore(c, true); !again {
			both.Done()
			both.Wait()
		}
		m.HSet("shop:{#ping}", args[3], strconv.Itoa(n+1))
		c.WriteBulk(strconv.Itoa(n))
		return true
	})
	e = newExam(t, rdb)
	e.checkIsolation(t.Context())
	requireFinding(t, e.findings, "isolation", Error, "scripts on one key interleave", "use a server that runs each script atomically")
}

func TestLua(t *testing.T) {
	for what, tt := range map[string]struct {
		answer   []string
		severity Severity
	}{
		"scripts run on Lua 5.4":                {[]string{"Lua 5.4", "9007199254740991", "3.5", "nil"}, Warning},
		"2^53-1 is 9.007e15":                    {[]string{"Lua 5.1", "9.007e15", "3.5", "nil"}, Error},
		"7/2 is 3":                              {[]string{"Lua 5.3", "9007199254740991", "3", "nil"}, Error},
		"scripts reach the module loader, by w": {[]string{"Lua 5.1", "9007199254740991", "3.5", "table"}, Error},
	} {
		m, rdb := redistest.Mini(t)
		m.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
			if cmd == "EVAL" && args[0] == dialectScript {
				c.WriteStrings(tt.answer)
				return true
			}
			return false
		})
		e := newExam(t, rdb)
		e.checkLua(t.Context())
		requireFinding(t, e.findings, "lua", tt.severity, what, "")
	}
}

// ---- records ----

// serverNow returns the server's time, in ms.
func serverNow(t *testing.T, client *redis.Client) int64 {
	t.Helper()
	now, err := client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return now.UnixMilli()
}

func rulesOf(t *testing.T, p engine.Policy) *engine.Rules {
	t.Helper()
	rules, err := p.Rules()
	if err != nil {
		t.Fatal(err)
	}
	return &rules
}

// closedRecord returns a record that began so long ago.
func closedRecord(t *testing.T, client *redis.Client, ago time.Duration) engine.Record {
	t.Helper()
	var r engine.Record
	rules := rulesOf(t, engine.Policy{})
	r.Step(rules, serverNow(t, client)-ago.Milliseconds(), 0, engine.Batch{})
	return r
}

// putRecord writes a record as a service would, and lists it if list is true.
func putRecord(t *testing.T, client *redis.Client, name string, list bool, r engine.Record) string {
	t.Helper()
	keys, err := cluster.New(namespace)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := keys.Key(name)
	var values []any
	for _, f := range r.Fields() {
		values = append(values, f.Name, f.Value)
	}
	if err := client.HSet(t.Context(), key, values...).Err(); err != nil {
		t.Fatal(err)
	}
	if list {
		listKey(t, client, keys, key)
	}
	return key
}

// listKey enters a key into the index.
func listKey(t *testing.T, client *redis.Client, keys cluster.Keys, key string) {
	t.Helper()
	member, part, _ := keys.IndexMember(key)
	entry := redis.Z{Score: float64(serverNow(t, client) + time.Hour.Milliseconds()), Member: member}
	if err := client.ZAdd(t.Context(), keys.IndexKey(part), entry).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestRecords(t *testing.T) {
	client := redistest.Start(t).Client()
	putRecord(t, client, "healthy", true, closedRecord(t, client, time.Hour))

	shadow := closedRecord(t, client, 26*time.Hour)
	rules := rulesOf(t, engine.Policy{})
	if _, err := shadow.Control(rules, serverNow(t, client)-25*time.Hour.Milliseconds(), 0, engine.Command{Action: engine.ActionShadow, Actor: "ann"}); err != nil {
		t.Fatal(err)
	}
	putRecord(t, client, "forgotten", true, shadow)

	young := closedRecord(t, client, time.Hour)
	if _, err := young.Control(rules, serverNow(t, client), 0, engine.Command{Action: engine.ActionShadow}); err != nil {
		t.Fatal(err)
	}
	putRecord(t, client, "young", true, young)

	key := putRecord(t, client, "damaged", true, closedRecord(t, client, time.Hour))
	if err := client.HSet(t.Context(), key, "tally", "junk\x1b[2J").Err(); err != nil {
		t.Fatal(err)
	}
	key = putRecord(t, client, "newer", true, closedRecord(t, client, time.Hour))
	if err := client.HSet(t.Context(), key, "head", "9 closed auto").Err(); err != nil {
		t.Fatal(err)
	}
	key = putRecord(t, client, "foreign", true, closedRecord(t, client, time.Hour))
	if err := errors.Join(client.Del(t.Context(), key).Err(), client.Set(t.Context(), key, "theirs", 0).Err()); err != nil {
		t.Fatal(err)
	}
	key = putRecord(t, client, "gone", true, closedRecord(t, client, time.Hour))
	if err := client.Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}

	mixed := closedRecord(t, client, time.Hour)
	other := rulesOf(t, engine.Policy{Window: engine.Window{Calls: 20, FailureRate: 0.5}})
	now := serverNow(t, client)
	epoch := mixed.Snapshot("", now).Epoch
	mixed.Step(other, now, 0, engine.Batch{Results: []engine.Result{{Ticket: engine.Ticket{Epoch: epoch}, Runs: []engine.Run{{Outcome: engine.Failure, N: 1}}}}})
	putRecord(t, client, "mixed", true, mixed)

	findings := examine(t, client)
	requireFinding(t, findings, "records", OK, "8 breakers, nothing is wrong with 3 of them", "")
	requireFinding(t, findings, "records", Warning, `"forgotten" has been in mode shadow for 25h0m0s by ann`, `redbreaker release "forgotten"`)
	requireFinding(t, findings, "records", Warning, `"damaged" has damaged fields: tally`, "redbreaker reset")
	requireFinding(t, findings, "records", Error, `the record of "newer" is of a newer release`, "update redbreaker")
	requireFinding(t, findings, "records", Error, `the key of "foreign" holds other data`, "use another namespace")
	requireFinding(t, findings, "records", Warning, `1 breaker is listed without a record: "gone"`, "check for evictions")
	requireFinding(t, findings, "records", Warning, `1 breaker is used with policies that differ: "mixed" (windows)`, "deploy one policy")
	for _, f := range findings {
		if f.Severity > OK && f.Check != "records" && f.Check != "version" && f.Check != "latency" {
			t.Errorf("another finding: %+v", f)
		}
	}
}

func TestIndex(t *testing.T) {
	client := redistest.Start(t).Client()
	keys, err := cluster.New(namespace)
	if err != nil {
		t.Fatal(err)
	}
	putRecord(t, client, "listed", true, closedRecord(t, client, time.Hour))
	putRecord(t, client, "new", false, closedRecord(t, client, time.Minute))
	putRecord(t, client, "unused", false, closedRecord(t, client, 23*time.Hour))
	for i := range 7 {
		putRecord(t, client, fmt.Sprintf("unlisted-%d", i), false, closedRecord(t, client, time.Hour))
	}
	if err := client.Set(t.Context(), "shop:{string}", "theirs", 0).Err(); err != nil {
		t.Fatal(err)
	}
	findings := examine(t, client)
	requireFinding(t, findings, "index", Warning, `7 breakers are not listed: "shop:{unlisted-0}", "shop:{unlisted-1}", "shop:{unlisted-2}", "shop:{unlisted-3}", "shop:{unlisted-4}" and 2 more`, "grant +zadd")

	if err := errors.Join(client.Del(t.Context(), keys.IndexKey(3)).Err(), client.Set(t.Context(), keys.IndexKey(3), "theirs", 0).Err()); err != nil {
		t.Fatal(err)
	}
	findings = examine(t, client)
	requireFinding(t, findings, "index", Error, `the key "shop:{#index:3}" of the index holds other data`, "delete or rename the key")
}

func TestModeAge_beyondTheLog(t *testing.T) {
	s := &engine.Snapshot{Mode: engine.ModeShadow, Log: []engine.Transition{
		{FromMode: engine.ModeShadow, ToMode: engine.ModeShadow, Ago: 40 * time.Hour},
		{FromMode: engine.ModeShadow, ToMode: engine.ModeShadow, Ago: time.Hour},
	}}
	if age, exact := modeAge(s); age != 40*time.Hour || exact {
		t.Errorf("got %v, %v", age, exact)
	}
	e := &exam{}
	e.checkRecord(s)
	requireFinding(t, e.findings, "records", Warning, "for 40h0m0s or longer", "")
}

func TestEscapeGlob(t *testing.T) {
	if got, want := escapeGlob(`a*b?c[d]\`), `a\*b\?c\[d\]\\`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSeverity_text(t *testing.T) {
	for want, s := range map[string]Severity{"ok": OK, "note": Note, "warning": Warning, "error": Error} {
		text, err := json.Marshal(Finding{Severity: s})
		var back Finding
		if err != nil || !strings.Contains(string(text), `"`+want+`"`) || json.Unmarshal(text, &back) != nil || back.Severity != s {
			t.Errorf("%s: %s, %v", want, text, err)
		}
	}
	if got := Severity(9).String(); got != "severity(9)" {
		t.Error(got)
	}
	if new(Severity).UnmarshalText([]byte("dire")) == nil {
		t.Error("an unknown severity is read")
	}
	if Worst(nil) != OK || Worst([]Finding{{Severity: Warning}, {Severity: Note}}) != Warning {
		t.Error("Worst does not return the highest")
	}
}

func TestExamine_interrupted(t *testing.T) {
	m, rdb := redistest.Mini(t)
	examining, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	m.Server().SetPreHook(func(_ *server.Peer, cmd string, _ ...string) bool {
		if cmd == "INFO" {
			interrupt()
		}
		return false
	})
	findings := Examine(examining, newPatient(t, rdb))
	if last := findings[len(findings)-1]; last.Check != "version" || last.What != "interrupted: context canceled" {
		t.Errorf("got\n%s", describe(findings))
	}
}
