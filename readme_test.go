package redbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/storage"
)

const order = 7

func charge(context.Context, int) error { return nil }

// quickStart is the README's, so that it compiles.
func quickStart(ctx context.Context) error {
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{"localhost:6379"}, ContextTimeoutEnabled: true})
	store, err := storage.NewRedis(rdb, storage.WithNamespace("shop"))
	if err != nil {
		return err
	}
	payments, err := redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 5, OpenFor: time.Minute}, redbreaker.WithStorage(store))
	if err != nil {
		return err
	}
	err = payments.Do(ctx, func(ctx context.Context) error { return charge(ctx, order) })
	var rejected *redbreaker.RejectedError
	if errors.As(err, &rejected) {
		return fmt.Errorf("payments are down, retry in %v", rejected.RetryAfter())
	}
	return err
}

var _ = quickStart

func TestReadme_quickStartIsThisCode(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	flush := regexp.MustCompile(`(?m)^\t`).ReplaceAllString(string(source), "")
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		if !strings.Contains(flush, block[1]) {
			t.Errorf("this code of the README is not compiled, put it into quickStart:\n%s", block[1])
		}
	}
}

// Every file that the README and the docs point to exists.
func TestReadme_links(t *testing.T) {
	for _, doc := range []string{"README.md", "docs/semantics.md", "docs/migrating.md", "docs/storages.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`).FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(link[1], "https://") {
				continue
			}
			path := link[1]
			if strings.HasPrefix(doc, "docs/") {
				path = "docs/" + path
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", doc, err)
			}
		}
	}
}
