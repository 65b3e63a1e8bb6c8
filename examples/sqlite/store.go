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

// Store keeps breakers in one table of a SQLite file, for all processes of a
// host. It has no clock of its own: they all have the host's.
type Store struct{ db *sql.DB }

var _ cas.Store = (*Store)(nil)

// pragmas: readers do not wait for writers; a writer waits for another, for less
// than the storage's time bound; a power cut may lose the last outcomes, which a
// breaker can bear, but never the file.
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

// Swap writes a record, in one statement: SQLite runs it whole or not at all,
// and the number of rows tells whether the version was still the same.
func (s *Store) Swap(ctx context.Context, name string, version int64, record []byte, ttl time.Duration) (bool, error) {
	expires := sql.NullInt64{Int64: time.Now().Add(ttl).UnixMilli(), Valid: ttl > 0}
	const (
		insert = `INSERT INTO breakers (record, expires, name, version) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`
		update = `UPDATE breakers SET record = ?, expires = ?, version = version + 1 WHERE name = ? AND version = ?`
	)
	query := update
	if version == 0 {
		// A record that was swept and made again must not begin where it began
		// before: a version names one record only.
		query, version = insert, rand.Int64N(1<<62)+1
	}
	result, err := s.db.ExecContext(ctx, query, record, expires, []byte(name), version)
	if err != nil {
		return false, classed(err)
	}
	rows, err := result.RowsAffected()
	return rows == 1, err
}

// Sweep deletes what has expired. Nothing depends on it but the file's size: the
// storage takes an expired record as absent.
func (s *Store) Sweep(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM breakers WHERE expires < ?`, time.Now().UnixMilli())
	return err
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// classed adds to an error what is known about the statement: SQLite has no
// network in which an answer could be lost. What is not known here, such as a
// context's end, stays as it is.
func classed(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // the rest tells details
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT:
		return &engine.StorageError{Class: engine.ClassNotExecuted, Err: err}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return &engine.StorageError{Class: engine.ClassRefused, Err: fmt.Errorf("check the file: %w", err)}
	}
	return err
}
