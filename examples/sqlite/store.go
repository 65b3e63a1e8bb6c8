package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// Store keeps breakers in one table of a SQLite file, for all processes of a host. It
// needs no clock, since they share the host's.
type Store struct{ db *sql.DB }

var _ cas.Store = (*Store)(nil)

// pragmas: readers do not wait for writers; a writer waits for another for less than
// the storage's timeout; a power cut may lose the last outcomes, which a breaker
// tolerates, but does not corrupt the file.
const pragmas = "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(150)&_pragma=synchronous(NORMAL)"

// Names and records are blobs, so that SQLite compares bytes and nothing else:
// no collation, no text that ends at a NUL.
const table = `CREATE TABLE IF NOT EXISTS breakers (
	name    BLOB    PRIMARY KEY,
	version INTEGER NOT NULL,
	record  BLOB    NOT NULL,
	expires INTEGER -- in ms since 1970, NULL for never
) WITHOUT ROWID`

// Open opens the file, and makes it if there is none.
func Open(path string) (*Store, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+pragmas)
	if err != nil {
		return nil, err
	}
	if _, err := db.Exec(table); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{db}, nil
}

// Load reads a record.
func (s *Store) Load(ctx context.Context, name string) (record []byte, version int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT record, version FROM breakers WHERE name = ?`, []byte(name)).Scan(&record, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	return record, version, classed(err)
}

// Swap writes a record in one atomic statement; the number of rows it changed says
// whether the version was still the same.
func (s *Store) Swap(ctx context.Context, name string, version int64, record []byte, ttl time.Duration) (bool, error) {
	expires := sql.NullInt64{Int64: time.Now().Add(ttl).UnixMilli(), Valid: ttl > 0}
	const (
		insert = `INSERT INTO breakers (record, expires, name, version) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`
		update = `UPDATE breakers SET record = ?, expires = ?, version = version + 1 WHERE name = ? AND version = ?`
	)
	query := update
	if version == 0 {
		// A version names one record only, so a record that was swept and made again
		// must not begin with the same version.
		query, version = insert, rand.Int64N(1<<62)+1
	}
	result, err := s.db.ExecContext(ctx, query, record, expires, []byte(name), version)
	if err != nil {
		return false, classed(err)
	}
	rows, err := result.RowsAffected()
	return rows == 1, err
}

// Sweep deletes expired records, to limit the file's size: the storage ignores them
// in any case.
func (s *Store) Sweep(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM breakers WHERE expires < ?`, time.Now().UnixMilli())
	return err
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// classed wraps an error of SQLite with its class, which says whether the statement was
// executed: there is no network that could lose an answer. Other errors, such as the
// end of a context, are returned as they are.
func classed(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // the higher bits hold details
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT:
		return &engine.StorageError{Class: engine.ClassNotExecuted, Err: err}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return &engine.StorageError{Class: engine.ClassRefused, Err: fmt.Errorf("check the file: %w", err)}
	}
	return err
}
