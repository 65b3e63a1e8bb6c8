package main

import (
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// isAnswer reports whether an error of SQLite is an answer of a working database. Each
// driver has its own errors: for PostgreSQL these are the SQLSTATE classes 22, 23 and
// 42, for MySQL the errors of the client's statements.
func isAnswer(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff { // the higher bits hold details
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
		return true
	}
	return false
}
