package storage_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/storage"
)

// Examine warns of what works today and may fail later.
func ExampleRedis_Examine() {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		log.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ReadTimeout: -1})
	store, err := storage.NewRedis(client)
	if err != nil {
		log.Fatal(err)
	}

	findings, err := store.Examine(context.Background())
	if err != nil {
		log.Fatal(err) // the error of Ping
	}
	for _, f := range findings {
		if f.Warning {
			what, _, _ := strings.Cut(f.String(), ":")
			fmt.Println(what, "about", f.About)
		}
	}
	store.Close()
	client.Close()
	server.Close()
	// Output: warning about connections
}
