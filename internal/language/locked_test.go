package language

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"regexp"
	"strings"
	"testing"
)

// A function that needs a lock held ends in Locked. Two signs show that it needs
// one: its documentation says so, or it is a method of a type with a mutex and
// every call lies between Lock and Unlock of the same value. The second is a
// reading of the syntax alone: it follows blocks and branches, but no aliases.

const lockedSuffix = "Locked"

var needsLock = regexp.MustCompile(`(?i)\b(caller|callers|goroutine) (must hold|holds?) (the|its|an?|\w+\.\w+)\b|\b(lock|mutex|mu)\b[^.]{0,20}\b(is|must be|being) held\b|\bwith (the|its) (lock|mutex|mu) held\b|\bunder (the|its) (\w+'s )?(lock|mutex)\b`)

// calls is how the methods of one type are called.
type calls struct{ locked, unlocked int }

// checkLocked returns functions that need a lock and do not say so in their name,
// and calls of such functions without one.
func checkLocked(f *folder) []finding {
	var found []finding
	for _, fn := range f.functions() {
		doc := strings.Join(strings.Fields(fn.Doc.Text()), " ")
		if needsLock.MatchString(doc) && !strings.HasSuffix(fn.Name.Name, lockedSuffix) {
			found = append(found, f.finding(fn, fn.Name.Name, fn.Name.Name+" needs a lock held, as its comment says: end its name in "+lockedSuffix))
		}
	}
	scan := newLockScan(f)
	for _, fn := range f.functions() {
		found = append(found, scan.function(fn)...)
	}
	mutexes := f.typesWithMutex()
	for _, fn := range f.functions() {
		name, of := fn.Name.Name, receiverType(fn)
		c := scan.calls[of+"."+name]
		if fn.Name.IsExported() || strings.HasSuffix(name, lockedSuffix) || !mutexes[of] || !usesField(fn) {
			continue
		}
		if c.locked > 0 && c.unlocked == 0 {
			found = append(found, f.finding(fn, name, of+"."+name+" is only called with the lock of "+of+" held: end its name in "+lockedSuffix))
		}
	}
	return found
}

// typesWithMutex returns the structs that have a mutex as a field.
func (f *folder) typesWithMutex() map[string]bool {
	all := map[string]bool{}
	for _, file := range f.files {
		for _, spec := range typesOf(file) {
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range s.Fields.List {
				if of := types.ExprString(field.Type); of == "sync.Mutex" || of == "sync.RWMutex" {
					all[spec.Name.Name] = true
				}
			}
		}
	}
	return all
}

// usesField reports whether a method reads or writes a field of its receiver.
func usesField(fn *ast.FuncDecl) bool {
	if fn.Recv == nil || len(fn.Recv.List[0].Names) == 0 {
		return false
	}
	receiver := fn.Recv.List[0].Names[0].Name
	called := map[ast.Expr]bool{}
	uses := false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.CallExpr:
			called[x.Fun] = true
		case *ast.SelectorExpr:
			if id, ok := x.X.(*ast.Ident); ok && id.Name == receiver && !called[x] {
				uses = true
			}
		}
		return true
	})
	return uses
}

// lockScan follows which locks are held at each call.
type lockScan struct {
	folder  *folder
	owners  map[string][]string // method name -> receiver types
	calls   map[string]calls    // "type.method"
	current *ast.FuncDecl
	found   []finding
}

// held are the values whose lock is held, by their text; "*" is all of them.
type held map[string]bool

func newLockScan(f *folder) *lockScan {
	s := &lockScan{folder: f, owners: map[string][]string{}, calls: map[string]calls{}}
	for _, fn := range f.functions() {
		if fn.Recv != nil {
			s.owners[fn.Name.Name] = append(s.owners[fn.Name.Name], receiverType(fn))
		}
	}
	return s
}

func (s *lockScan) function(fn *ast.FuncDecl) []finding {
	s.found, s.current = nil, fn
	if fn.Body == nil {
		return nil
	}
	h := held{}
	if strings.HasSuffix(fn.Name.Name, lockedSuffix) || isLocker(fn.Name.Name) {
		h["*"] = true
	}
	s.block(fn.Body.List, h)
	return s.found
}

// block follows statements in their order and reports whether they never reach
// their end.
func (s *lockScan) block(list []ast.Stmt, h held) (ends bool) {
	for _, stmt := range list {
		if s.statement(stmt, h) {
			return true
		}
	}
	return false
}

func (s *lockScan) statement(stmt ast.Stmt, h held) (ends bool) {
	switch x := stmt.(type) {
	case *ast.ReturnStmt:
		s.expressions(x, h)
		return true
	case *ast.BranchStmt:
		return x.Tok != token.FALLTHROUGH
	case *ast.BlockStmt:
		return s.block(x.List, h)
	case *ast.LabeledStmt:
		return s.statement(x.Stmt, h)
	case *ast.DeferStmt: // an Unlock at the end changes nothing before it
		if lit, ok := x.Call.Fun.(*ast.FuncLit); ok {
			s.block(lit.Body.List, held{})
		}
	case *ast.GoStmt:
		s.expressions(x.Call, held{})
	case *ast.IfStmt:
		s.branch(h, x.Init, x.Cond, x.Body, x.Else)
	case *ast.ForStmt:
		s.branch(h, x.Init, x.Cond, x.Body, x.Post)
	case *ast.RangeStmt:
		s.branch(h, nil, x.X, x.Body)
	case *ast.SwitchStmt:
		s.branch(h, x.Init, x.Tag, clauses(x.Body)...)
	case *ast.TypeSwitchStmt:
		s.branch(h, x.Init, nil, clauses(x.Body)...)
	case *ast.SelectStmt:
		s.branch(h, nil, nil, clauses(x.Body)...)
	default:
		s.expressions(stmt, h)
	}
	return false
}

func clauses(body *ast.BlockStmt) []ast.Stmt { return body.List }

// branch follows each body from the state before, and keeps what is held after all
// of those that reach their end.
func (s *lockScan) branch(h held, init ast.Stmt, condition ast.Expr, bodies ...ast.Stmt) {
	if init != nil {
		s.statement(init, h)
	}
	if condition != nil {
		s.expressions(condition, h)
	}
	before := maps.Clone(h)
	for _, body := range bodies {
		if body == nil {
			continue
		}
		after := maps.Clone(before)
		var ends bool
		switch x := body.(type) {
		case *ast.CaseClause:
			for _, e := range x.List {
				s.expressions(e, after)
			}
			ends = s.block(x.Body, after)
		case *ast.CommClause:
			if x.Comm != nil {
				s.statement(x.Comm, after)
			}
			ends = s.block(x.Body, after)
		default:
			ends = s.statement(body, after)
		}
		if ends {
			continue
		}
		for owner := range h {
			if !after[owner] {
				delete(h, owner)
			}
		}
	}
}

// expressions notes the calls of one statement, and what they lock.
func (s *lockScan) expressions(n ast.Node, h held) {
	called := map[ast.Expr]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.FuncLit: // runs at another time
			s.block(x.Body.List, held{})
			return false
		case *ast.CallExpr:
			called[x.Fun] = true
			if of, ok := x.Fun.(*ast.SelectorExpr); ok {
				s.call(of, h)
			}
		case *ast.SelectorExpr: // a method value runs at another time
			if !called[x] {
				s.note(x, false)
			}
		}
		return true
	})
}

func (s *lockScan) call(of *ast.SelectorExpr, h held) {
	owner, name := types.ExprString(of.X), of.Sel.Name
	switch {
	case isLocker(name):
		if x, ok := of.X.(*ast.SelectorExpr); ok && of.Sel.IsExported() {
			owner = types.ExprString(x.X)
		}
		h[owner] = true
		return
	case strings.HasSuffix(strings.ToLower(name), "unlock"):
		if x, ok := of.X.(*ast.SelectorExpr); ok {
			owner = types.ExprString(x.X)
		}
		delete(h, owner)
		return
	}
	if strings.HasSuffix(name, lockedSuffix) && len(h) == 0 {
		s.found = append(s.found, s.folder.finding(of, name, s.current.Name.Name+" calls "+name+" and holds no lock"))
	}
	s.note(of, h["*"] || h[owner])
}

func isLocker(name string) bool {
	return name == "Lock" || name == "RLock" || name == "TryLock" || strings.HasPrefix(name, "lock")
}

// note counts a use of a method, where its type is certain.
func (s *lockScan) note(of *ast.SelectorExpr, locked bool) {
	types := s.owners[of.Sel.Name]
	owner := ""
	switch id, ok := of.X.(*ast.Ident); {
	case ok && s.current.Recv != nil && len(s.current.Recv.List[0].Names) > 0 && s.current.Recv.List[0].Names[0].Name == id.Name:
		owner = receiverType(s.current)
	case len(types) == 1:
		owner = types[0]
	}
	if owner == "" { // it may be any of them
		for _, t := range types {
			c := s.calls[t+"."+of.Sel.Name]
			c.unlocked++
			s.calls[t+"."+of.Sel.Name] = c
		}
		return
	}
	c := s.calls[owner+"."+of.Sel.Name]
	if locked {
		c.locked++
	} else {
		c.unlocked++
	}
	s.calls[owner+"."+of.Sel.Name] = c
}

// TestLocked_find makes sure that the rule finds functions that need a lock, and
// no others.
func TestLocked_find(t *testing.T) {
	const types = "import \"sync\"\ntype q struct { mu sync.Mutex; n int }\n"
	for name, test := range map[string]struct {
		source string
		want   string
	}{
		"its comment says so": {"// add counts. The caller must hold q.mu.\nfunc (q *q) add() {}", "add"},
		"called with the lock": {`
func (q *q) add() { q.n++ }
func (q *q) Push() { q.mu.Lock(); defer q.mu.Unlock(); q.add() }`, "add"},
		"called after the lock too": {`
func (q *q) add() { q.n++ }
func (q *q) Push() { q.mu.Lock(); q.add(); q.mu.Unlock(); q.add() }`, ""},
		"its comment says the opposite": {"// add logs. The caller holds no lock.\nfunc (q *q) add() {}", ""},
		"a branch that returns unlocks for itself": {`
func (q *q) add() { q.n++ }
func (q *q) Push() { q.mu.Lock(); if q.n > 1 { q.mu.Unlock(); return }; q.add(); q.mu.Unlock() }`, "add"},
		"a branch that goes on unlocks for all": {`
func (q *q) add() { q.n++ }
func (q *q) Push() { q.mu.Lock(); if q.n > 1 { q.mu.Unlock() }; q.add() }`, ""},
		"called by a function with the mark": {`
func (q *q) add() { q.n++ }
func (q *q) pushLocked() { q.add() }
func (q *q) Push() { q.mu.Lock(); q.pushLocked(); q.mu.Unlock() }`, "add"},
		"a goroutine holds nothing": {`
func (q *q) add() { q.n++ }
func (q *q) Push() { q.mu.Lock(); go q.add(); q.mu.Unlock() }`, ""},
		"a method value": {`
func (q *q) add() { q.n++ }
func (q *q) Push() { q.mu.Lock(); q.add(); run(q.add); q.mu.Unlock() }`, ""},
		"no field": {`
func (q *q) add() {}
func (q *q) Push() { q.mu.Lock(); q.add(); q.mu.Unlock() }`, ""},
		"the mark without the lock": {`
func (q *q) addLocked() { q.n++ }
func (q *q) Push() { q.mu.Lock(); q.mu.Unlock(); q.addLocked() }`, "addLocked"},
		"as it is meant": {`
// addLocked counts. The caller must hold q.mu.
func (q *q) addLocked() { q.n++ }
func (q *q) Push() { q.mu.Lock(); q.addLocked(); q.mu.Unlock() }`, ""},
	} {
		got := checkLocked(parseFolder(t, types+test.source))
		if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || got[0].subject != test.want) {
			t.Errorf("%s: found %v, want %q", name, got, test.want)
		}
	}
}
