package transport

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Answer is the end of one of several calls.
type Answer struct {
	Reply any
	Err   error // engine.ErrStopped or a *engine.StorageError
}

// RunMany runs calls within one timeout, in one round trip to each server that
// holds some of the keys. Each server has a pipeline of its own: one that does not
// answer must not keep what the others did. The answers are in the order of the
// calls; the error is the context's.
func (t *Transport) RunMany(ctx context.Context, calls []*Call) ([]Answer, error) {
	return t.runGrouped(ctx, calls, func(node *Node, own []*Call) []Answer {
		m := &manyCalls{transport: t, node: node, calls: own, batch: batch{deadline: time.Now().Add(t.timeout)}}
		for range own {
			m.attempts = append(m.attempts, &attempt{})
		}
		return m.runOnNode(ctx)
	})
}

// runGrouped gives the calls to each server to run, at the same time. If the context
// has ended, run may return no answers.
func (t *Transport) runGrouped(ctx context.Context, calls []*Call, run func(*Node, []*Call) []Answer) ([]Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	answers := make([]Answer, len(calls))
	var wg sync.WaitGroup
	for node, indexes := range t.groupByNode(calls) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			own := make([]*Call, len(indexes))
			for n, i := range indexes {
				own[n] = calls[i]
			}
			// No lock: each goroutine writes other elements, and Wait comes before the read.
			for n, a := range run(node, own) {
				answers[indexes[n]] = a
			}
		}()
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return answers, nil
}

// groupByNode returns the indexes of the calls to each node, as far as the client
// knows; it redirects calls whose keys are elsewhere.
func (t *Transport) groupByNode(calls []*Call) map[*Node][]int {
	groups := map[*Node][]int{}
	for i, c := range calls {
		node := t.Node(c.Key)
		groups[node] = append(groups[node], i)
	}
	return groups
}

// manyCalls are calls of one caller to one node. They have their own pipeline and
// not the node's: an inspection of 500 breakers must not delay the steps of calls.
//
// They are a batch, whose pipeline is written whole or not at all, though the caller
// may leave meanwhile: a large one reaches the server in parts, and go-redis keeps
// the connection if the rest is refused. The replies to the first part would then be
// taken for those of the next commands on it.
type manyCalls struct {
	batch     batch
	transport *Transport
	node      *Node
	calls     []*Call
	attempts  []*attempt
}

// result is the raw end of a call.
type result struct {
	reply any
	err   error
}

// runOnNode sends the calls and waits for them, at most until the deadline. An attempt
// decides for each call whether it can have been executed, since a pipeline may
// break in its middle.
func (m *manyCalls) runOnNode(ctx context.Context) []Answer {
	var results []result
	err := m.transport.waitOrLeave(ctx, m.batch.deadline, func(own context.Context) {
		results = m.sendBatch(m.transport.newContext(own, &m.batch))
	})
	// If this swap fails, the pipeline is being written. Its calls stay claimed, which counts
	// as possibly executed.
	if err == nil || m.batch.state.CompareAndSwap(waiting, left) {
		for _, a := range m.attempts {
			a.unclaim() // it was not written, and will not be
		}
	}
	if ctx.Err() != nil { // that says nothing about the node
		for _, a := range m.attempts {
			a.leave()
		}
		return nil
	}
	answers := make([]Answer, len(m.calls))
	for i, c := range m.calls {
		executable := m.attempts[i].leave()
		r := result{err: err}
		// After an error the goroutine of the client may still write results: they are not read.
		if err == nil {
			r = results[i]
		}
		if r.err != nil && !errors.Is(r.err, redis.Nil) {
			answers[i].Err = m.transport.newError(r.err, executable, c)
			continue
		}
		m.transport.cluster.recordSuccess()
		answers[i].Reply = r.reply
	}
	return answers
}

// sendBatch sends the calls by hash, loads the scripts that are missing, and sends the
// rest by hash again, then with their source.
func (m *manyCalls) sendBatch(ctx context.Context) []result {
	results := make([]result, len(m.calls))
	missing := make([]int, len(m.calls))
	known := make([]int64, len(m.calls))
	for i, c := range m.calls {
		missing[i] = i
		// Before the first command is sent, as for a Flight.
		known[i] = m.node.loaderOf(c.Script).loads.Load()
	}
	// The second try by hash follows a load. It fails where the user may not load scripts,
	// and where they are flushed again and again; then the commands bring their source.
	for _, verb := range []string{"evalsha", "evalsha", "eval"} {
		missing = m.sendPipeline(ctx, verb, missing, results)
		if len(missing) == 0 {
			break
		}
		for _, i := range missing {
			m.attempts[i].retry()
			_ = m.transport.loadScript(m.node.loaderOf(m.calls[i].Script), known[i]) // if it fails, EVAL helps
		}
	}
	return results
}

// sendPipeline sends the calls of the given indexes, and returns the indexes of those
// whose script the server does not know. It sends nothing if the caller has left.
func (m *manyCalls) sendPipeline(ctx context.Context, verb string, indexes []int, results []result) (missing []int) {
	for _, i := range indexes {
		// It fails when the caller has left between two rounds: then no result is read.
		if !m.attempts[i].claim(&m.batch) {
			return nil
		}
	}
	cmds := make([]command, len(indexes))
	_, refused := m.transport.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, i := range indexes {
			script := m.calls[i].Script.SHA
			if verb == "eval" {
				script = m.calls[i].Script.Source
			}
			cmds[n] = newCommand(ctx, m.attempts[i], verb, script, m.calls[i])
			m.attempts[i].cmd = cmds[n].Cmd
			_ = p.Process(ctx, cmds[n])
		}
		return nil
	})
	for n, i := range indexes {
		setMissingError(cmds[n].Cmd, refused)
		reply, err := cmds[n].Result()
		results[i] = result{reply, m.transport.withTimeout(m.batch.deadline, err)}
		if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
			missing = append(missing, i)
		}
	}
	return missing
}
