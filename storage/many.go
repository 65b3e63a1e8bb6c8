package storage

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// together is the most records that are read in one round trip: each takes the
// server some 20 us, and all of them have the time of one call.
const together = 500

// InspectMany reads the records of the names, in their order: 500 of them cost
// one round trip to each server that holds some, at the same time. What could
// not be read leaves a snapshot with nothing but its name, and a
// *engine.StorageError in the joined error, so that a node that is away hides
// only its own breakers.
func (r *Redis) InspectMany(ctx context.Context, names []string) ([]engine.Snapshot, error) {
	all := make([]engine.Snapshot, 0, len(names))
	var faults []error
	for part := range slices.Chunk(names, together) {
		snapshots, err := r.inspectSome(ctx, part)
		if snapshots == nil {
			return nil, err
		}
		all, faults = append(all, snapshots...), append(faults, err)
	}
	return all, errors.Join(faults...)
}

func (r *Redis) inspectSome(ctx context.Context, names []string) ([]engine.Snapshot, error) {
	if r.closed.Load() {
		return nil, engine.ErrStopped
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var faults []error
	ops := make([]*scriptCall, len(names))
	for i, name := range names {
		key, err := r.keys.Key(name)
		faults = append(faults, err)
		ops[i] = &scriptCall{script: scripts.Inspect, key: key}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	r.run.many(ctx, ops)
	if own := over(ctx); own != nil {
		return nil, own
	}
	snapshots := make([]engine.Snapshot, len(names))
	for i, op := range ops {
		var err error
		snapshots[i], err = r.inspected(names[i], op)
		faults = append(faults, err)
	}
	return snapshots, errors.Join(faults...)
}

func (r *Redis) inspected(name string, op *scriptCall) (engine.Snapshot, error) {
	none := engine.Snapshot{Name: name}
	if errors.Is(op.err, engine.ErrStopped) {
		return none, engine.ErrStopped
	}
	if op.err != nil {
		r.run.topology.failed(op.err)
		return none, &engine.StorageError{Class: classify(op.err, op.sent), Op: "inspect", Name: name, Err: op.err}
	}
	r.run.topology.answered()
	record, now, err := scripts.DecodeInspect(op.reply)
	if err != nil {
		return none, refused("inspect", name, err)
	}
	return record.Snapshot(name, now), nil
}

// scriptCall is one of several calls that travel together.
type scriptCall struct {
	script *scripts.Script
	key    string
	args   []any

	reply any
	sent  bool // it can have been executed if there is an error
	err   error
}

// many runs scripts within one time bound, in one round trip to each server that
// holds some of the keys. Those that a server does not know are given to it, and
// their calls go out again. Each server has a pipeline of its own: one that does
// not answer must not keep what the others did.
func (r *runner) many(ctx context.Context, ops []*scriptCall) {
	var wg sync.WaitGroup
	for _, group := range r.topology.groups(ops) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r.some(ctx, group)
		}()
	}
	wg.Wait()
}

// groups parts the calls by the node that serves their keys, as far as is known;
// the client sends on by itself what is elsewhere.
func (t *topology) groups(ops []*scriptCall) map[string][]*scriptCall {
	groups := map[string][]*scriptCall{}
	for _, op := range ops {
		addr := ""
		if node := t.master(op.key); node != nil {
			addr = node.Options().Addr
		}
		groups[addr] = append(groups[addr], op)
	}
	return groups
}

func (r *runner) some(ctx context.Context, ops []*scriptCall) {
	attempts := make([]*attempt, len(ops))
	for i := range ops {
		attempts[i] = &attempt{}
	}
	answers, err := r.bounded(ctx, time.Now(), func(ctx context.Context) (any, error) { return r.together(ctx, ops, attempts), nil })
	for i, op := range ops {
		op.sent = attempts[i].leave()
		if err != nil {
			op.err = err
			continue
		}
		a := answers.([]answer)[i]
		op.reply, op.err = a.reply, a.err
	}
}

// answer is what became of one call.
type answer struct {
	reply any
	err   error
}

// together sends the calls by SHA, loads what is missing and sends the rest by
// SHA again, then with their source. It must not touch ops, whose caller may
// have left.
func (r *runner) together(ctx context.Context, ops []*scriptCall, attempts []*attempt) []answer {
	answers := make([]answer, len(ops))
	missing := make([]int, len(ops))
	known := make([]int64, len(ops))
	for i, op := range ops {
		missing[i] = i
		known[i] = r.loader(op.script, op.key).loads.Load()
	}
	for _, verb := range []string{"evalsha", "evalsha", "eval"} {
		missing = r.pipeline(ctx, verb, ops, attempts, missing, answers)
		if len(missing) == 0 {
			break
		}
		for _, i := range missing {
			attempts[i].again()
			_ = r.load(ctx, r.loader(ops[i].script, ops[i].key), known[i]) // or EVAL helps
		}
	}
	return answers
}

// pipeline sends some of the calls, and returns those of them whose script the
// server does not know.
func (r *runner) pipeline(ctx context.Context, verb string, ops []*scriptCall, attempts []*attempt, which []int, answers []answer) (missing []int) {
	cmds := make([]*redis.Cmd, len(which))
	_, _ = r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, i := range which {
			op := ops[i]
			text := op.script.SHA
			if verb == "eval" {
				text = op.script.Source
			}
			cmds[n] = redis.NewCmd(ctx, append([]any{verb, argument{attempts[i], text}, 1, op.key}, op.args...)...)
			attempts[i].cmd = cmds[n]
			_ = p.Process(ctx, command{cmds[n]})
		}
		return nil
	})
	for n, i := range which {
		reply, err := cmds[n].Result()
		answers[i] = answer{reply, because(ctx, err)}
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			missing = append(missing, i)
		}
	}
	return missing
}
