// Package redistest gives tests a real Redis, or Valkey.
//
// Most tests share one server, and keep apart by namespace:
//
//	rdb := redistest.Client(t)
//	ns := redistest.Namespace(t)
//
// The shared server is the one at REDBREAKER_REDIS, if that is set. Otherwise the
// first test that needs it starts a redis-server on a free loopback port, for its
// test binary alone; the server ends with the binary, however that ends. Tests that
// kill, pause or configure a server start a private one with [Start].
//
// Without a server these tests are skipped and name the missing program. With
// REDBREAKER_REQUIRE_REDIS=1 they fail instead, so that CI cannot pass by skipping.
//
// The package starts no goroutine, so goleak reports none.
package redistest
