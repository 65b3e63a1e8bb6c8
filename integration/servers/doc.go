// Package servers starts and controls real servers for tests: a standalone server, a
// primary with a replica, with or without sentinels, or a cluster of three masters and
// three replicas.
//
//	c := servers.Cluster(t)
//	rdb := c.Client()
//	c.MasterOf(key).Kill()
//
// They come from REDBREAKER_SERVERS, which names one of
//
//	address   the server at REDBREAKER_REDIS, which cannot be killed or paused
//	docker    containers of the image REDBREAKER_REDIS_IMAGE (default redis:8)
//	process   redis-server or valkey-server processes on loopback
//
// or, if that is not set, from the first of them that the machine has. Without any the
// test is skipped and says why; with REDBREAKER_REQUIRE_REDIS=1 it fails instead. The
// servers end with the test.
package servers
