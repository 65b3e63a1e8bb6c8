package prombreaker_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/prombreaker"
	"github.com/redbreaker/redbreaker/storage"
)

// fleet is two processes that share a breaker, a third that exports the records, and
// the Prometheus that scrapes all of them.
type fleet struct {
	*server
	children map[string]*child
	store    *storage.Redis
}

func startFleet(t *testing.T) *fleet {
	t.Helper()
	redisAddr, namespace := redistest.Addr(t), redistest.Namespace(t)
	f := &fleet{children: map[string]*child{}}
	targets := map[string]string{}
	for _, name := range []string{"a", "b"} {
		f.children[name] = startChild(t, childConfig{redisAddr, namespace, name})
		targets[name] = f.children[name].addr
	}
	rdb := redis.NewClient(&redis.Options{Addr: redisAddr, DialTimeout: patience, ReadTimeout: patience})
	t.Cleanup(func() { _ = rdb.Close() })
	var err error
	f.store, err = storage.NewRedis(rdb, storage.WithNamespace(namespace), storage.WithTimeout(patience))
	must(t, err)
	t.Cleanup(func() { _ = f.store.Close() })
	targets["fleet"] = serveFleet(t, f.store)
	f.server = startPrometheus(t, targets)
	f.await("sum(up)", 3)
	return f
}

// serveFleet serves the records until the test ends.
func serveFleet(t *testing.T, s *storage.Redis) string {
	t.Helper()
	c, err := prombreaker.NewFleetCollector(s, prombreaker.FleetConfig{Timeout: patience})
	must(t, err)
	return newMetricsServer(t, c)
}

// transitions are those of the shared breaker, as its processes count them.
const transitions = `redbreaker_circuit_breaker_transitions_total{redbreaker_circuit_breaker_name="` + sharedName + `"}`

// Two processes open and close a circuit in turn. What they count adds up to the log of
// the record, in their sum, in the increase of each, and in the record's own number.
// Every query of the dashboard and every alert rule works on the same server.
func TestPrometheus_fleet(t *testing.T) {
	f := startFleet(t)
	f.await("sum("+transitions+")", 0) // an increase counts from here
	n := f.makeTransitions(t, 40)
	f.await("sum("+transitions+")", float64(n))
	f.await(`redbreaker_fleet_transitions_total{redbreaker_circuit_breaker_name="`+sharedName+`"}`, float64(n))
	if got := f.sumIncrease(); got != float64(n) {
		t.Errorf("sum(increase(...)) is %v, want %d", got, n)
	}
	for _, name := range []string{"a", "b"} {
		f.await(`sum(`+transitions[:len(transitions)-1]+`,job="`+name+`"}) > bool 0`, 1) // or the sum says little
	}
	f.prepareDashboard(t)
	f.checkDashboard(t)
	f.checkRules(t)
}

// makeTransitions lets the processes call, with success at random, until the record has had n transitions, and
// returns how many those are at the end.
func (f *fleet) makeTransitions(t *testing.T, n int64) int64 {
	t.Helper()
	for deadline := time.Now().Add(2 * patience); f.newestTransition(t) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the record had %d transitions, want %d", f.newestTransition(t), n)
		}
		for _, c := range f.children {
			c.call(rand.IntN(2) == 0)
		}
	}
	return f.newestTransition(t)
}

func (f *fleet) newestTransition(t *testing.T) int64 {
	t.Helper()
	s, err := f.store.Inspect(t.Context(), sharedName)
	must(t, err)
	if len(s.Log) == 0 {
		return 0
	}
	return s.Log[len(s.Log)-1].N
}

// sumIncrease returns the increase over all processes. Prometheus extrapolates an
// increase to the time of the query, so each process is asked for at its last scrape.
func (f *fleet) sumIncrease() float64 {
	f.t.Helper()
	var scrapes []sample
	// A scrape that takes too long on a busy machine leaves a gap until the next one.
	for deadline := time.Now().Add(patience); len(scrapes) < len(f.children); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("only %d processes are scraped", len(scrapes))
		}
		scrapes = f.query("max by (job) (timestamp(" + transitions + "))")
	}
	sum := 0.0
	for _, last := range scrapes {
		increase := fmt.Sprintf("sum(increase(%s, job=%q}[1h]))", strings.TrimSuffix(transitions, "}"), last.Metric["job"])
		sum += f.query(increase, last.number(f.t))[0].number(f.t)
	}
	return sum
}

// prepareDashboard brings about everything that the dashboard shows: an open circuit,
// one that an operator holds, and calls in the window of a closed one.
func (f *fleet) prepareDashboard(t *testing.T) {
	t.Helper()
	for name, command := range map[string]engine.Command{
		"down":     {Action: engine.ActionTrip, For: time.Hour},
		"held":     {Action: engine.ActionForceOpen, For: time.Hour},
		sharedName: {Action: engine.ActionReset},
	} {
		_, err := f.store.Control(t.Context(), name, command)
		must(t, err)
	}
	for _, c := range f.children {
		if got := c.call(true); got != "admitted" {
			t.Errorf("a call after a reset was %s", got)
		}
		c.call(false)
	}
	f.await(`sum(redbreaker_fleet_override{redbreaker_circuit_breaker_name="held"})`, 1)
	f.await(`sum(redbreaker_fleet_status{redbreaker_circuit_breaker_name="down",redbreaker_circuit_breaker_state="open"})`, 1)
}

// checkDashboard runs each query of the dashboard. All of them find something here.
func (f *fleet) checkDashboard(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../docs/grafana/redbreaker.json")
	must(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	must(t, json.Unmarshal(text, &dashboard))
	variables := strings.NewReplacer("$__rate_interval", "5m", "$name", ".*", "$group", ".*")
	queries := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries++
			if len(f.query(variables.Replace(target.Expr))) == 0 {
				t.Errorf("%q finds nothing: %s", p.Title, target.Expr)
			}
		}
	}
	if queries == 0 {
		t.Error("the dashboard has no query")
	}
}

// checkRules waits until Prometheus has evaluated each alert rule.
func (f *fleet) checkRules(t *testing.T) {
	t.Helper()
	var all struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		f.get("rules", nil, &all)
		evaluated := true
		for _, g := range all.Groups {
			for _, r := range g.Rules {
				if r.LastError != "" {
					t.Errorf("%s: %s", r.Name, r.LastError)
				}
				evaluated = evaluated && r.Health == "ok"
			}
		}
		if evaluated && len(all.Groups) > 0 {
			return
		}
	}
	t.Errorf("not all rules were evaluated: %+v", all)
}
