// Package redistest gives tests a real Redis, or Valkey.
//
// Most tests share one server, and keep apart by namespace:
//
//	rdb := redistest.Client(t)
//	ns := redistest.Namespace(t)
//
// The shared server is the one at REDBREAKER_REDIS, if that is set. Otherwise
// the first test that asks starts a redis-server on a free loopback port, for
// its test binary alone; it ends with the binary, however that ends. Tests that
// kill a server, pause it or configure it start a private one with [Start].
//
// A machine that has neither skips these tests, and each says what is missing.
// With REDBREAKER_REQUIRE_REDIS=1 it fails instead, so that a build cannot pass
// by leaving them out.
//
// The package owns no goroutine: goleak finds nothing of it.
package redistest
