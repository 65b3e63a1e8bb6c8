package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/internal/redistest"
)

// The rights of a viewer and of a service on a single server, as docs/operations.md lists them.
const (
	viewerRights  = "+zscan +hget +evalsha +eval +script|load +time +type +hgetall"
	serviceRights = "+evalsha +eval +script|load +time +type +hget +hmget +hgetall +hset +hdel +persist +pexpire +publish +zadd +zrangebyscore +zrem +zscore"
)

// The rights that the help of the commands names are enough.
func TestRights_areEnough(t *testing.T) {
	private := redistest.Start(t)
	admin := server{private.Addr(), "shop", private.Client()}
	admin.must(t, "trip", "payments", "--create", "--for", "1h")
	lines := admin.must(t, "export")
	for name, tt := range map[string]struct {
		rights string
		run    []string
	}{
		"ls":      {viewerRights, []string{"ls"}},
		"explain": {"+hgetall +time", []string{"explain", "payments"}},
		"log":     {"+hgetall +time", []string{"log", "payments"}},
		"get":     {"+hgetall +time", []string{"get", "payments"}},
		"export":  {viewerRights + " +pttl", []string{"export"}},
		"import":  {serviceRights + " +watch +multi +exec +unwatch +del +exists", []string{"import", "--overwrite"}},
		"trip":    {serviceRights, []string{"trip", "payments"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := []any{"acl", "setuser", name, "reset", "on", ">secret", "~shop:*", "&shop:*"}
			for right := range strings.FieldsSeq(tt.rights) {
				args = append(args, right)
			}
			if err := private.Admin().Do(ctx, args...).Err(); err != nil {
				t.Fatal(err)
			}
			url := fmt.Sprintf("redis://%s:secret@%s", name, private.Addr())
			out, err := executeWith(lines, append(tt.run, "--redis", url, "-n", "shop")...)
			if err != nil || out == "" {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
