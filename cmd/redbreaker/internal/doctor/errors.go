package doctor

import (
	"cmp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// isDenied reports whether the user lacks a right.
func isDenied(err error) bool { return redis.IsPermissionError(err) }

// isKeyDenied reports whether the user may not use the key, whatever the command.
func isKeyDenied(err error) bool {
	return isDenied(err) && strings.Contains(err.Error(), " key")
}

// isChannelDenied reports whether the user may not use the channel.
func isChannelDenied(err error) bool {
	return isDenied(err) && strings.Contains(err.Error(), " channel")
}

// isUnknown reports whether the server does not know the command: it was renamed, or a proxy
// does not pass it.
func isUnknown(err error) bool {
	return err != nil && strings.Contains(strings.ToLower(err.Error()), "unknown command")
}

// sortNodes sorts masters by their addresses.
func sortNodes(nodes []node) {
	slices.SortFunc(nodes, func(a, b node) int { return cmp.Compare(a.addr, b.addr) })
}
