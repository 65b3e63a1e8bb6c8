// Package cluster says where a breaker's record lives: which key its name
// becomes, and which of a Redis Cluster's slots that key is in.
//
// A breaker is one key, and its whole name is the key's hash tag:
//
//	<namespace>:{<encoded name>}
//
// So every script touches one slot, and the breakers of a namespace spread over
// all of them. The encoding keeps ordinary names as they are, so that an
// operator finds payments under shop:{payments}, and is injective for any
// bytes: two breakers share a record only if they share a name.
package cluster
