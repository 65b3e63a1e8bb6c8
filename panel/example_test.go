package panel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

// A program mounts the panel behind its own login. The storage is that of its breakers,
// here one in memory.
func ExampleNew() {
	store := engine.NewMemory()
	breakers, err := panel.New(store, panel.Options{
		Prefix: "/breakers",
		Title:  "shop",
		Actor:  func(r *http.Request) string { return r.Header.Get("X-Login") },
		Allow: func(r *http.Request, name string, c engine.Command) error {
			if r.Header.Get("X-Login") == "" {
				return errors.New("log in first")
			}
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/breakers/", breakers)
	server := httptest.NewServer(mux)
	defer server.Close()
	server.Config.RegisterOnShutdown(breakers.Close)

	// A breaker opens.
	if _, err := store.Control(context.Background(), "payments", engine.Command{Action: engine.ActionTrip}); err != nil {
		panic(err)
	}
	response, err := http.Get(server.URL + "/breakers/")
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", regexp.MustCompile(`<h1>(.*)</h1>`).FindSubmatch(page)[1])

	answer, err := http.Post(server.URL+"/breakers/api/breakers/payments/reset", "", nil)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status)
	// Output:
	// 1 circuit is open
	// 403 Forbidden
}
