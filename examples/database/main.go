// Command database protects a database/sql database with a breaker around its
// queries.
//
// The breaker is around sql.DB and not inside of a driver. database/sql repeats what a
// driver answers with driver.ErrBadConn, on other connections: an attempt that the
// breaker would count several times, and a rejection in that form would be retried. A
// driver that rejects must return the rejection as it is, never as driver.ErrBadConn.
//
//	go run ./database
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	_ "modernc.org/sqlite"

	"github.com/redbreaker/redbreaker"
)

// DB is a database whose queries go through a breaker.
type DB struct {
	db      *sql.DB
	breaker *redbreaker.Breaker
}

// Protect returns a DB. isAnswer reports whether an error of the driver is an answer of
// a working database, such as a violated constraint or wrong SQL; such an error and
// sql.ErrNoRows are successes.
func Protect(db *sql.DB, policy redbreaker.Policy, isAnswer func(error) bool, opts ...redbreaker.Option) (*DB, error) {
	breaker, err := redbreaker.New("database", policy, append(opts,
		redbreaker.WithClassifier(redbreaker.CountAsSuccess(sql.ErrNoRows)),
		redbreaker.WithClassifier(func(err error) redbreaker.Outcome {
			if isAnswer(err) {
				return redbreaker.Success
			}
			return 0
		}))...)
	return &DB{db, breaker}, err
}

// Exec executes a statement.
func (d *DB) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return redbreaker.Call(ctx, d.breaker, func(ctx context.Context) (sql.Result, error) {
		return d.db.ExecContext(ctx, query, args...)
	})
}

// Query calls row for each row of a query. The call ends with the last row, since a
// database may also fail in the middle of a result. An error of row ends the query, is
// returned, and does not count.
func (d *DB) Query(ctx context.Context, row func(*sql.Rows) error, query string, args ...any) error {
	var stopped error
	err := d.breaker.Do(ctx, func(ctx context.Context) error {
		rows, err := d.db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if stopped = row(rows); stopped != nil {
				return nil
			}
		}
		return rows.Err()
	})
	return errors.Join(err, stopped)
}

// Transact calls f in a transaction, which is one call of the breaker. An error of f
// rolls it back and is judged like that of a query, so it should be the database's.
func (d *DB) Transact(ctx context.Context, f func(*sql.Tx) error) error {
	return d.breaker.Do(ctx, func(ctx context.Context) error {
		tx, err := d.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
}

// Stop stops the breaker. The database stays open.
func (d *DB) Stop() { d.breaker.Stop() }

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "database:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	orders, err := Protect(db, redbreaker.Policy{ConsecutiveFailures: 2, OpenFor: time.Minute}, isAnswer)
	if err != nil {
		return err
	}
	defer orders.Stop()
	db.SetMaxOpenConns(1) // a database in memory is one connection
	if _, err := orders.Exec(ctx, `CREATE TABLE orders (id INTEGER PRIMARY KEY)`); err != nil {
		return err
	}
	for range 3 {
		_, err = orders.Exec(ctx, `INSERT INTO orders (id) VALUES (1)`)
	}
	fmt.Println("two violated constraints:", err != nil, "and the circuit is", orders.breaker.State())

	_ = db.Close() // as if the database were gone
	for range 3 {
		_, err = orders.Exec(ctx, `INSERT INTO orders (id) VALUES (2)`)
	}
	fmt.Println("two failures: rejected is", errors.Is(err, redbreaker.ErrRejected), "and the circuit is", orders.breaker.State())
	return nil
}
