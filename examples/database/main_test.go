package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

// fakeDB is a database that fails as its test says, and counts what reaches it.
type fakeDB struct {
	err     error // of every query
	rowErr  error // after the first row
	queries atomic.Int64
	dials   atomic.Int64
}

func (f *fakeDB) Connect(context.Context) (driver.Conn, error) {
	f.dials.Add(1)
	return &fakeConn{f}, nil
}
func (f *fakeDB) Driver() driver.Driver { return nil }

type fakeConn struct{ db *fakeDB }

func (c *fakeConn) Prepare(string) (driver.Stmt, error) { return nil, errors.New("not prepared") }
func (c *fakeConn) Close() error                        { return nil }
func (c *fakeConn) Begin() (driver.Tx, error)           { return c, c.db.err }
func (c *fakeConn) Commit() error                       { return nil }
func (c *fakeConn) Rollback() error                     { return nil }

func (c *fakeConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	c.db.queries.Add(1)
	return driver.RowsAffected(1), c.db.err
}

func (c *fakeConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	c.db.queries.Add(1)
	return &fakeRows{db: c.db}, c.db.err
}

type fakeRows struct {
	db *fakeDB
	n  int
}

func (r *fakeRows) Columns() []string { return []string{"id"} }
func (r *fakeRows) Close() error      { return nil }
func (r *fakeRows) Next(row []driver.Value) error {
	if r.n++; r.n > 2 {
		return io.EOF
	}
	if r.n == 2 && r.db.rowErr != nil {
		return r.db.rowErr
	}
	row[0] = int64(r.n)
	return nil
}

func protect(t *testing.T, f *fakeDB, failures int) *DB {
	t.Helper()
	db := sql.OpenDB(f)
	t.Cleanup(func() { _ = db.Close() })
	d, err := Protect(db, redbreaker.Policy{ConsecutiveFailures: failures, OpenFor: time.Hour}, isAnswer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	return d
}

var errDown = errors.New("connection refused")

// A rejection reaches no connection, and database/sql does not repeat it.
func TestDB_rejects(t *testing.T) {
	f := &fakeDB{err: errDown}
	d := protect(t, f, 1)
	if _, err := d.Exec(t.Context(), "INSERT"); !errors.Is(err, errDown) {
		t.Fatal(err)
	}
	before := f.queries.Load()
	for what, call := range map[string]func() error{
		"Exec":     func() error { _, err := d.Exec(t.Context(), "INSERT"); return err },
		"Query":    func() error { return d.Query(t.Context(), nil, "SELECT") },
		"Transact": func() error { return d.Transact(t.Context(), func(*sql.Tx) error { return nil }) },
	} {
		err := call()
		if !errors.Is(err, redbreaker.ErrRejected) || errors.Is(err, driver.ErrBadConn) {
			t.Errorf("%s: %v, want a rejection that is not ErrBadConn", what, err)
		}
	}
	if got := f.queries.Load(); got != before {
		t.Errorf("%d queries reached the database", got-before)
	}
}

// database/sql repeats ErrBadConn by itself: the breaker counts one failure, since it
// is around these repetitions.
func TestDB_badConnectionCountsOnce(t *testing.T) {
	f := &fakeDB{err: driver.ErrBadConn}
	d := protect(t, f, 2)
	if _, err := d.Exec(t.Context(), "INSERT"); !errors.Is(err, driver.ErrBadConn) {
		t.Fatal(err)
	}
	if f.queries.Load() < 2 || d.breaker.State() != redbreaker.StateClosed {
		t.Errorf("%d attempts, the circuit is %v; want several, closed", f.queries.Load(), d.breaker.State())
	}
	_, _ = d.Exec(t.Context(), "INSERT")
	if d.breaker.State() != redbreaker.StateOpen {
		t.Errorf("the circuit is %v after two failures", d.breaker.State())
	}
}

// A result that breaks off is a failure; a caller that stops early is none.
func TestDB_queryToItsEnd(t *testing.T) {
	f := &fakeDB{}
	d := protect(t, f, 1)
	n := 0
	count := func(*sql.Rows) error { n++; return nil }
	if err := d.Query(t.Context(), count, "SELECT"); err != nil || n != 2 {
		t.Fatalf("%v, %d rows", err, n)
	}
	enough := errors.New("enough")
	if err := d.Query(t.Context(), func(*sql.Rows) error { return enough }, "SELECT"); !errors.Is(err, enough) || d.breaker.State() != redbreaker.StateClosed {
		t.Errorf("%v, the circuit is %v", err, d.breaker.State())
	}
	f.rowErr = errDown
	if err := d.Query(t.Context(), count, "SELECT"); !errors.Is(err, errDown) || d.breaker.State() != redbreaker.StateOpen {
		t.Errorf("%v, the circuit is %v; want the error, open", err, d.breaker.State())
	}
}

func TestDB_answersAreSuccesses(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	d, err := Protect(db, redbreaker.Policy{ConsecutiveFailures: 1}, isAnswer)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Stop()
	for _, query := range []string{"CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1)", "SELEC 1", "INSERT INTO none VALUES (1)"} {
		_, _ = d.Exec(t.Context(), query)
	}
	err = d.Transact(t.Context(), func(tx *sql.Tx) error {
		var id int
		return tx.QueryRow("SELECT id FROM t WHERE id = 9").Scan(&id)
	})
	if !errors.Is(err, sql.ErrNoRows) || d.breaker.State() != redbreaker.StateClosed {
		t.Errorf("%v, the circuit is %v; want ErrNoRows, closed", err, d.breaker.State())
	}
}
