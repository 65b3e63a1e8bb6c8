package scenario

import (
	"context"
	"io/fs"
	"testing/fstest"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// clockFromArgs is lib/clock.lua for tests: the time comes as ARGV[7], so that
// the time of a real server can be moved, too.
const clockFromArgs = "local function clock() return ARGV[7] + 0 end\n"

// onArgs holds the scripts with that clock, by name; plain holds them without
// their fast path too.
var (
	onArgs = assembleScripts(true)
	plain  = assembleScripts(false)
)

func assembleScripts(fast bool) map[string]*scripts.Script {
	files := Files(scripts.Files)
	files["lib/clock.lua"] = &fstest.MapFile{Data: []byte(clockFromArgs)}
	if !fast {
		files["lib/fast.lua"] = &fstest.MapFile{Data: []byte("local time\n")}
	}
	all := map[string]*scripts.Script{}
	for _, name := range []string{"step", "control", "inspect"} {
		s, err := scripts.Assemble(files, name)
		if err != nil {
			panic(err)
		}
		all[name] = s
	}
	return all
}

// Files copies a tree of files into one that a test may change.
func Files(from fs.FS) fstest.MapFS {
	files := fstest.MapFS{}
	err := fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(from, path)
		files[path] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		panic(err)
	}
	return files
}

// Lua is the machine as a server runs it, on a clock that the test moves. Key
// holds the record.
type Lua struct {
	Name  string
	Redis *redis.Client
	Key   string
	// Run runs a script by name on Key, at the time now; nil: the server does.
	Run func(script string, now int64, args []any) (any, error)
	// Plain leaves the fast path of step.lua out.
	Plain bool
	// Exact means that the server's TTLs do not move, as miniredis's do.
	Exact bool
}

// Eval runs a script at the time now and returns its raw reply.
func (l *Lua) Eval(script string, now int64, args []any) (any, error) {
	if l.Run != nil {
		return l.Run(script, now, args)
	}
	unused := []any{"", "", "", "-", "0", "-"}
	args = append(append(args[:len(args):len(args)], unused[len(args):]...), now)
	ctx := context.Background()
	s := onArgs[script]
	if l.Plain {
		s = plain[script]
	}
	reply, err := l.Redis.EvalSha(ctx, s.SHA, []string{l.Key}, args...).Result()
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		return l.Redis.Eval(ctx, s.Source, []string{l.Key}, args...).Result()
	}
	return reply, err
}

// Load replaces the record by these fields.
func (l *Lua) Load(fields map[string]string) error {
	ctx := context.Background()
	_, err := l.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, l.Key)
		if len(fields) > 0 {
			p.HSet(ctx, l.Key, fields)
		}
		return nil
	})
	return err
}

// Raw returns the hash as it is.
func (l *Lua) Raw() (map[string]string, error) {
	return l.Redis.HGetAll(context.Background(), l.Key).Result()
}

// Fields returns the record in the form of the pure machine's, see [Canonical].
func (l *Lua) Fields() ([]engine.Field, error) {
	raw, err := l.Raw()
	if err != nil {
		return nil, err
	}
	return Canonical(List(raw))
}
