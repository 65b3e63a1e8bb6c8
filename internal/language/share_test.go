package language

import (
	"fmt"
	"strings"
	"testing"
)

// The code bases we learn from have 20 to 30 % comments.
const (
	minCommentShare = 0.20
	maxCommentShare = 0.30
)

// rooms are the folders, with all below them, whose share of comments is bounded.
// storage/storagetest is public documentation of a contract for the most part.
var rooms = []struct {
	path   string
	except []string
}{
	{"engine", nil},
	{"storage", []string{"storage/storagetest"}},
	{"scripts", nil},
}

func isWithin(path, tree string) bool {
	return path == tree || strings.HasPrefix(path, tree+"/")
}

// checkShare returns whether a room has too few comments or too many.
func checkShare(folders []*folder, room string, except []string) []finding {
	var comments, code int
	for _, f := range folders {
		out := !isWithin(f.path, room)
		for _, e := range except {
			out = out || isWithin(f.path, e)
		}
		if !out {
			comments, code = comments+f.commentLines, code+f.codeLines
		}
	}
	share := ratio(comments, comments+code)
	if share >= minCommentShare && share <= maxCommentShare {
		return nil
	}
	return []finding{{file: room, subject: "comment share", message: fmt.Sprintf(
		"%.1f %% of %d lines are comments, want %.0f to %.0f %%", 100*share, comments+code, 100*minCommentShare, 100*maxCommentShare)}}
}

func TestShare_finds(t *testing.T) {
	for comments, want := range map[int]int{19: 1, 20: 0, 30: 0, 31: 1} {
		all := []*folder{
			{path: "a/b", commentLines: comments, codeLines: 100 - comments},
			{path: "a/c", commentLines: 1000},
			{path: "ab", codeLines: 1000},
		}
		if got := checkShare(all, "a", []string{"a/c"}); len(got) != want {
			t.Errorf("%d %%: found %v, want %d", comments, got, want)
		}
	}
}
