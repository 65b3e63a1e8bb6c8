// Package language tests the project's language: names, comments, documents and
// messages. It reads the sources with go/ast and runs nothing.
//
//	go test ./internal/language                            # the folders that are held
//	go test ./internal/language -args -look=engine         # one folder; storage/... for a tree
//	go test ./internal/language -run Figures -v            # the figures of every package
//
// The rules are in words_test.go (words and phrases), names_test.go (functions
// and types), locked_test.go (functions that need a lock) and share_test.go
// (share of comments). Exceptions are in exceptions_test.go, each with a reason.
package language
