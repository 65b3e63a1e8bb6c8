package grpcbreaker_test

import (
	"context"
	"os"
	"regexp"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/redbreaker/redbreaker/grpcbreaker"
)

// TestDocs_codes compares the table of docs/middleware.md with the rules.
func TestDocs_codes(t *testing.T) {
	page, err := os.ReadFile("../docs/middleware.md")
	if err != nil {
		t.Fatal(err)
	}
	atClient, atServer := map[string]string{}, map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `?([A-Za-z ]+)`? \\| (success|failure|ignored)[a-z, ']* \\| (success|failure|ignored)[a-z, ']* \\|").FindAllStringSubmatch(string(page), -1) {
		atClient[row[1]], atServer[row[1]] = row[2], row[3]
	}
	for code := codes.OK; code <= codes.Unauthenticated+1; code++ {
		name := code.String()
		if code > codes.Unauthenticated {
			name = "any other"
		}
		failure := status.Error(code, "")
		b, client := newBreaker(t, neverOpens)
		_ = newClient(t, grpcbreaker.One(b), grpcbreaker.Config{}).Unary(t.Context(), "/s/m", nil, nil, nil,
			func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return failure })
		b, server := newBreaker(t, neverOpens)
		_, _ = newServer(t, grpcbreaker.One(b), grpcbreaker.Config{}).Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"},
			func(context.Context, any) (any, error) { return nil, failure })
		if atClient[name] != client.all()[0].String() || atServer[name] != server.all()[0].String() {
			t.Errorf("%s: the page has %q and %q, want %v and %v", name, atClient[name], atServer[name], client.all(), server.all())
		}
	}
}
