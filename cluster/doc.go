// Package cluster maps the names of breakers to Redis keys, and keys to the slots
// of a Redis Cluster.
//
// A breaker is one key, and its whole name is the key's hash tag:
//
//	<namespace>:{<encoded name>}
//
// So every script touches one slot, and the breakers of a namespace spread over
// all slots. The encoding leaves ordinary names unchanged, so an operator finds
// payments under shop:{payments}, and it is injective for any bytes: two breakers
// share a record only if they have the same name.
package cluster
