package main

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/scripts"
)

// inspect reads the records of the names. It returns those that could be read, in the
// order of the names, and the errors of the others.
func (s *session) inspect(ctx context.Context, names []string) ([]redbreaker.Snapshot, error) {
	all, err := s.store.InspectMany(ctx, names)
	if all == nil {
		return nil, err
	}
	var found []redbreaker.Snapshot
	var faults []error
	for i, name := range names {
		fault := errorOf(name, err)
		if isScriptDenied(fault) {
			all[i], fault = s.readHash(ctx, name, fault)
		}
		if fault != nil {
			faults = append(faults, fault)
			continue
		}
		found = append(found, all[i])
	}
	return found, errors.Join(faults...)
}

// errorOf returns the error about a name in the joined errors of InspectMany.
func errorOf(name string, err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if found := errorOf(name, e); found != nil {
				return found
			}
		}
		return nil
	}
	var failure *redbreaker.StorageError
	if errors.As(err, &failure) && failure.Name == name {
		return err
	}
	return nil
}

// isScriptDenied reports whether the user may not run scripts.
func isScriptDenied(err error) bool {
	return redis.IsPermissionError(err) && !isKeyDenied(err)
}

// readHash reads a record without a script, for a user who may run only HGETALL and
// TIME. It returns denied if the user may not run these either.
func (s *session) readHash(ctx context.Context, name string, denied error) (redbreaker.Snapshot, error) {
	none := redbreaker.Snapshot{Name: name}
	key, err := s.keys.Key(name)
	if err != nil {
		return none, err
	}
	fail := func(err error) (redbreaker.Snapshot, error) {
		switch {
		case redis.HasErrorPrefix(err, "WRONGTYPE"):
			return none, &redbreaker.StorageError{Class: redbreaker.ClassForeign, Op: "inspect", Name: name, Err: redbreaker.ErrForeignKey}
		case redis.IsPermissionError(err) && !isKeyDenied(err):
			return none, denied
		}
		return none, &redbreaker.StorageError{Class: redbreaker.ClassRefused, Op: "inspect", Name: name, Err: err}
	}
	var node redis.UniversalClient = s.client
	if c, ok := s.client.(*redis.ClusterClient); ok {
		if node, err = c.MasterForKey(ctx, key); err != nil {
			return fail(err)
		}
	}
	fields, err := node.HGetAll(ctx, key).Result()
	if err != nil {
		return fail(err)
	}
	now, err := node.Time(ctx).Result()
	if err != nil {
		return fail(err)
	}
	reply := []any{strconv.FormatInt(now.UnixMilli(), 10)}
	for field, value := range fields {
		reply = append(reply, field, value)
	}
	record, nowMS, err := scripts.DecodeInspect(reply)
	if err != nil {
		return none, &redbreaker.StorageError{Class: redbreaker.ClassForeign, Op: "inspect", Name: name, Err: err}
	}
	return record.Snapshot(name, nowMS), nil
}

// isKeyDenied reports whether the user may not use the key, whatever the command.
func isKeyDenied(err error) bool {
	return redis.IsPermissionError(err) && strings.Contains(err.Error(), " key")
}
