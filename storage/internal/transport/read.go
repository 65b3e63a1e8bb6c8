package transport

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// scanCount is how many members a server looks at per call: about 1 ms of its
// time.
const scanCount = 1000

// ScanSet reads a part of a sorted set, from the cursor on: members, each followed
// by its score. It is over when next is 0. op names the operation in errors.
func (t *Transport) ScanSet(ctx context.Context, op, key string, cursor uint64) (members []string, next uint64, err error) {
	type page struct {
		members []string
		next    uint64
	}
	reply, err := t.readPlain(ctx, op, func(ctx context.Context) (any, error) {
		members, next, err := t.client.ZScan(ctx, key, cursor, "", scanCount).Result()
		return page{members, next}, err
	})
	if err != nil {
		return nil, 0, err
	}
	p := reply.(page)
	return p.members, p.next, nil
}

// ServerTime returns a server's clock.
func (t *Transport) ServerTime(ctx context.Context, op string) (time.Time, error) {
	reply, err := t.readPlain(ctx, op, func(ctx context.Context) (any, error) { return t.client.Time(ctx).Result() })
	if err != nil {
		return time.Time{}, err
	}
	return reply.(time.Time), nil
}

// readPlain runs a command that only reads, so that the client may repeat it.
func (t *Transport) readPlain(ctx context.Context, op string, read func(context.Context) (any, error)) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reply, err := t.limitCall(ctx, time.Now(), read)
	if err == nil {
		t.cluster.recordSuccess()
		return reply, nil
	}
	// The caller has left: that says nothing about the server, and must not count against
	// it.
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, t.newError(err, true, &Call{Op: op})
}

// ReadField reads one field of each of the hashes, in one round trip to each
// server that holds some. A reply is nil where there is no such field.
func (t *Transport) ReadField(ctx context.Context, op, field string, keys []string) ([]Answer, error) {
	calls := make([]*Call, len(keys))
	for i, key := range keys {
		calls[i] = &Call{Op: op, Key: key}
	}
	// It goes past the pipeline of the node, as all that may take long: steps must not wait
	// for the poll of 500 records.
	return t.runGrouped(ctx, calls, func(node *Node, own []*Call) []Answer { return t.readFieldOnNode(ctx, field, own) })
}

func (t *Transport) readFieldOnNode(ctx context.Context, field string, calls []*Call) []Answer {
	reply, err := t.limitCall(ctx, time.Now(), func(ctx context.Context) (any, error) {
		cmds := make([]*redis.StringCmd, len(calls))
		// The error of a pipeline is that of its first command. Each command has its own.
		_, _ = t.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, c := range calls {
				cmds[i] = p.HGet(ctx, c.Key, field)
			}
			return nil
		})
		return cmds, nil
	})
	if ctx.Err() != nil { // that says nothing about the node
		return nil
	}
	answers := make([]Answer, len(calls))
	for i, c := range calls {
		// An error of limitCall ends all of them: the client may still use the commands, so
		// they are not read.
		var text string
		its := err
		if its == nil {
			text, its = reply.([]*redis.StringCmd)[i].Result()
		}
		switch {
		case its == nil:
			answers[i].Reply = text
		case its != redis.Nil: //nolint:errorlint // it is never wrapped
			answers[i].Err = t.newError(its, true, c)
		}
	}
	return answers
}
