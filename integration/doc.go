// Package integration has the tests that need several real servers or servers that
// fail: clusters that move slots, elect masters and lose scripts, sentinels, replicas
// that miss writes, and four products and versions in turn. It is a nested module, so
// that importers of redbreaker do not inherit its dependencies. Package servers
// describes how the servers are started.
package integration
