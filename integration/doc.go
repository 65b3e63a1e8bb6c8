// Package integration has the tests that need more than one real server, or
// servers that fail: clusters that move their slots, elect new masters and lose
// their scripts, sentinels, replicas that miss writes, four servers in turn. It
// is a module of its own, so that nobody who imports redbreaker inherits what
// they need. See package servers for where the servers come from.
package integration
