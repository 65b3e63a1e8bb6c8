package storage_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(envRole); role != "" {
		os.Exit(beChild(role)) // this binary as processes_test.go runs it
	}
	goleak.VerifyTestMain(m)
}
