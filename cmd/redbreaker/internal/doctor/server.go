package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage"
)

// fullMemory is the share of maxmemory, in percent, from which writes may soon fail.
const fullMemory = 90

// checkMemory checks what each server does when its memory is full.
func (e *exam) checkMemory(ctx context.Context) {
	for _, n := range e.nodes {
		info, err := n.client.Info(ctx, "memory").Result()
		if err != nil {
			e.add(Finding{"memory", Note, n.addr, "not checked: " + err.Error(), "grant +info to the user of doctor"})
			continue
		}
		limit, _ := strconv.ParseInt(infoField(info, "maxmemory"), 10, 64)
		used, _ := strconv.ParseInt(infoField(info, "used_memory"), 10, 64)
		policy := infoField(info, "maxmemory_policy")
		evicts := policy != "" && policy != "noeviction"
		full := limit > 0 && used*100 >= limit*fullMemory
		switch {
		case evicts && limit > 0:
			e.add(Finding{"memory", Warning, n.addr, fmt.Sprintf("maxmemory-policy is %s: breakers are evicted when memory is full, and an open circuit then admits calls", policy),
				"use a server for breakers alone, or CONFIG SET maxmemory-policy noeviction"})
		case evicts:
			e.add(Finding{"memory", Note, n.addr, fmt.Sprintf("maxmemory-policy is %s, without effect as long as maxmemory is 0", policy), "use noeviction if you ever set maxmemory"})
		case full:
			e.add(Finding{"memory", Warning, n.addr, fmt.Sprintf("%d of %d bytes of maxmemory are used: writes will be refused (OOM), and each process will use its fallback", used, limit), "raise maxmemory, or remove data"})
		}
	}
}

const (
	// maxOffset is how far a server's clock may be from this machine's.
	maxOffset = 2 * time.Second
	// maxApart is how far the clocks of two masters may be apart.
	maxApart = time.Second
	// clockTries is how often a clock is read; the quickest answer is the most exact.
	clockTries = 5
)

// clockOffset is how far a server's clock is ahead of this machine's.
type clockOffset struct {
	node   node
	offset time.Duration
	error  time.Duration // half of the round trip
}

// checkClock compares the servers' clocks with this machine's and with each other.
func (e *exam) checkClock(ctx context.Context) {
	var all []clockOffset
	for _, n := range e.nodes {
		c, err := readClock(ctx, n)
		if err != nil {
			e.add(Finding{"clock", Note, n.addr, "not checked: " + err.Error(), "grant +time to the user of doctor"})
			continue
		}
		if err := engine.CheckClock(time.Now().Add(c.offset).UnixMilli()); err != nil {
			e.add(Finding{"clock", Error, n.addr, err.Error(), "correct the server's clock; steps refuse this one"})
			continue
		}
		if c.offset.Abs()-c.error > maxOffset {
			e.add(Finding{"clock", Warning, n.addr, fmt.Sprintf("the server's clock is %s this machine's by %v", aheadOf(c.offset), c.offset.Abs().Round(10*time.Millisecond)),
				"synchronize both by NTP; breakers use the server's clock alone, so a step of it ends or prolongs open periods and modes"})
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b clockOffset) int { return int(a.offset - b.offset) })
	if len(all) < 2 {
		return
	}
	first, last := all[0], all[len(all)-1]
	if apart := last.offset - first.offset - last.error - first.error; apart > maxApart {
		e.add(Finding{"clock", Warning, last.node.addr, fmt.Sprintf("the clock is ahead of that of %s by %v", first.node.addr, (last.offset - first.offset).Round(10*time.Millisecond)),
			"synchronize the masters by NTP; after a failover, open periods and modes would end early or late by the difference"})
	}
}

func aheadOf(offset time.Duration) string {
	if offset < 0 {
		return "behind"
	}
	return "ahead of"
}

// readClock reads a server's clock.
func readClock(ctx context.Context, n node) (clockOffset, error) {
	best := clockOffset{node: n, error: time.Hour}
	for range clockTries {
		before := time.Now()
		now, err := n.client.Time(ctx).Result()
		if err != nil {
			return best, err
		}
		if half := time.Since(before) / 2; half < best.error {
			best.offset, best.error = now.Sub(before.Add(half)), half
		}
	}
	return best, nil
}

// checkCoverage finds slots that no master serves.
func (e *exam) checkCoverage(ctx context.Context) {
	if !e.isCluster() {
		e.add(Finding{Check: "coverage", What: "the server is no cluster"})
		return
	}
	slots, err := e.nodes[0].client.ClusterSlots(ctx).Result() //nolint:staticcheck // CLUSTER SHARDS is younger than Redis 6.0
	if err != nil {
		e.add(Finding{"coverage", Note, e.nodes[0].addr, "not checked: " + err.Error(), "grant +cluster|slots to the user"})
		return
	}
	served := make([]bool, 16384)
	for _, s := range slots {
		for i := s.Start; i <= s.End && i < len(served); i++ {
			served[i] = true
		}
	}
	if missing := uncoveredSlots(served); missing != "" {
		e.add(Finding{"coverage", Error, "", "no master serves the slots " + missing, "start the masters or their replicas, or run redis-cli --cluster fix; breakers of these slots use their fallback"})
	}
	for _, n := range e.nodes {
		value, err := n.client.ConfigGet(ctx, "cluster-require-full-coverage").Result()
		if err == nil && value["cluster-require-full-coverage"] == "yes" {
			e.add(Finding{"coverage", Note, n.addr, "cluster-require-full-coverage is yes: the death of one master degrades all breakers", "CONFIG SET cluster-require-full-coverage no"})
		}
	}
}

// uncoveredSlots returns the ranges of slots that are not served, such as 0-99, 7000.
func uncoveredSlots(served []bool) string {
	var ranges []string
	for i := 0; i < len(served); i++ {
		if served[i] {
			continue
		}
		first := i
		for i+1 < len(served) && !served[i+1] {
			i++
		}
		if first == i {
			ranges = append(ranges, strconv.Itoa(first))
		} else {
			ranges = append(ranges, fmt.Sprintf("%d-%d", first, i))
		}
	}
	if len(ranges) > maxNamed {
		ranges = append(ranges[:maxNamed], fmt.Sprintf("and %d more ranges", len(ranges)-maxNamed))
	}
	return strings.Join(ranges, ", ")
}

const (
	latencyTries = 50
	latencyTime  = 3 * time.Second // for all tries on one server
)

// checkLatency measures round trips on a connection that is open already.
func (e *exam) checkLatency(ctx context.Context) {
	for _, n := range e.nodes {
		var trips []time.Duration
		for began := time.Now(); len(trips) < latencyTries && (len(trips) == 0 || time.Since(began) < latencyTime); {
			before := time.Now()
			if err := n.client.Time(ctx).Err(); err != nil {
				e.add(Finding{"latency", Note, n.addr, "not measured: " + err.Error(), "grant +time to the user of doctor"})
				break
			}
			trips = append(trips, time.Since(before))
		}
		if len(trips) == 0 || ctx.Err() != nil {
			continue
		}
		slices.Sort(trips)
		e.judgeLatency(n, trips[len(trips)/2], trips[len(trips)*99/100], len(trips))
	}
}

// judgeLatency compares round trips with the default timeout of a storage.
func (e *exam) judgeLatency(n node, p50, p99 time.Duration, count int) {
	text := fmt.Sprintf("of %s, the median took %v, the 99th percentile %v", countWords(count, "round trip"), p50.Round(time.Microsecond), p99.Round(time.Microsecond))
	if 3*p99 > storage.DefaultTimeout {
		e.add(Finding{"latency", Warning, n.addr, text, fmt.Sprintf("set storage.WithTimeout to %v or more in services that are as far away as this machine, or find what delays the server: SLOWLOG GET, INFO commandstats", (3 * p99).Round(10*time.Millisecond))})
		return
	}
	e.add(Finding{Check: "latency", Node: n.addr, What: text})
}
