// Command connectrpc protects the calls of a connect client with an interceptor.
//
//	go run ./connectrpc
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/redbreaker/redbreaker"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "connectrpc:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	const procedure = "/shop.v1.Orders/Get"
	down := false
	mux := http.NewServeMux()
	mux.Handle(procedure, connect.NewUnaryHandler(procedure,
		func(_ context.Context, r *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.StringValue], error) {
			switch {
			case down:
				return nil, connect.NewError(connect.CodeUnavailable, errors.New("the database is down"))
			case r.Msg.GetValue() == "":
				return nil, connect.NewError(connect.CodeNotFound, errors.New("no such order"))
			}
			return connect.NewResponse(r.Msg), nil
		}))
	server := httptest.NewServer(mux)
	defer server.Close()

	orders, err := NewInterceptor("orders", redbreaker.Policy{ConsecutiveFailures: 2, OpenFor: time.Minute})
	if err != nil {
		return err
	}
	defer orders.Stop()
	client := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](server.Client(), server.URL+procedure, connect.WithInterceptors(orders))
	get := func(order string) error {
		_, err := client.CallUnary(ctx, connect.NewRequest(wrapperspb.String(order)))
		return err
	}

	for range 3 {
		err = get("")
	}
	fmt.Println("three answers:", connect.CodeOf(err), "and the circuit is", orders.breaker.State())
	down = true
	for range 2 {
		err = get("1")
	}
	fmt.Println("two failures:", connect.CodeOf(err), "and the circuit is", orders.breaker.State())
	err = get("1")
	fmt.Println("the next call:", connect.CodeOf(err), "rejected is", errors.Is(err, redbreaker.ErrRejected))
	return nil
}
