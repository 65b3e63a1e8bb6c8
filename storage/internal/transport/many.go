package transport

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/storage/internal/timeout"
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
	return t.runGrouped(ctx, calls, func(node *Node, own []*Call) []Answer { return t.runOnNode(ctx, node, own) })
}

// runGrouped gives the calls to each server to run, at the same time.
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
			for n, a := range run(node, own) {
				answers[indexes[n]] = a
			}
		}()
	}
	wg.Wait()
	if err := timeout.Ended(ctx); err != nil {
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

// result is the raw end of a call.
type result struct {
	reply any
	err   error
}

func (t *Transport) runOnNode(ctx context.Context, node *Node, calls []*Call) []Answer {
	attempts := make([]*attempt, len(calls))
	for i := range calls {
		attempts[i] = &attempt{}
	}
	reply, err := t.limit(ctx, time.Now(), func(ctx context.Context) (any, error) {
		return t.sendMany(ctx, node, calls, attempts), nil
	})
	answers := make([]Answer, len(calls))
	for i, c := range calls {
		executable := attempts[i].leave()
		r := result{err: err}
		if err == nil {
			r = reply.([]result)[i]
		}
		if r.err != nil && !errors.Is(r.err, redis.Nil) {
			answers[i].Err = t.newError(r.err, executable, c)
			continue
		}
		t.cluster.recordSuccess()
		answers[i].Reply = r.reply
	}
	return answers
}

// sendMany sends the calls by hash, loads the scripts that are missing, and sends
// the rest by hash again, then with their source.
func (t *Transport) sendMany(ctx context.Context, node *Node, calls []*Call, attempts []*attempt) []result {
	results := make([]result, len(calls))
	missing := make([]int, len(calls))
	known := make([]int64, len(calls))
	for i, c := range calls {
		missing[i] = i
		known[i] = node.loaderOf(c.Script).loads.Load()
	}
	for _, verb := range []string{"evalsha", "evalsha", "eval"} {
		missing = t.pipelineMany(ctx, verb, calls, attempts, missing, results)
		if len(missing) == 0 {
			break
		}
		for _, i := range missing {
			attempts[i].retry()
			_ = t.load(ctx, node.loaderOf(calls[i].Script), known[i]) // if it fails, EVAL helps
		}
	}
	return results
}

// pipelineMany sends the calls of the given indexes, and returns the indexes of
// those whose script the server does not know.
func (t *Transport) pipelineMany(ctx context.Context, verb string, calls []*Call, attempts []*attempt, indexes []int, results []result) (missing []int) {
	cmds := make([]command, len(indexes))
	_, refused := t.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, i := range indexes {
			cmds[n] = newCommand(ctx, attempts[i], verb, calls[i])
			_ = p.Process(ctx, cmds[n])
		}
		return nil
	})
	for n, i := range indexes {
		setMissingError(cmds[n], refused)
		reply, err := cmds[n].Result()
		results[i] = result{reply, timeout.WithCause(ctx, err)}
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			missing = append(missing, i)
		}
	}
	return missing
}
