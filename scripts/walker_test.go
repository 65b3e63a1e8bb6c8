package scripts_test

import (
	"fmt"

	"github.com/yuin/gopher-lua/ast"
)

// walker goes through a script's syntax. block may replace the statements of a
// block, expr an expression; both see inner nodes first.
type walker struct {
	block func([]ast.Stmt) []ast.Stmt
	expr  func(ast.Expr) ast.Expr
}

func (w walker) stmts(list []ast.Stmt) []ast.Stmt {
	for _, stmt := range list {
		w.stmt(stmt)
	}
	if w.block == nil {
		return list
	}
	return w.block(list)
}

func (w walker) stmt(stmt ast.Stmt) {
	switch s := stmt.(type) {
	case *ast.AssignStmt:
		w.all(s.Lhs)
		w.all(s.Rhs)
	case *ast.LocalAssignStmt:
		w.all(s.Exprs)
	case *ast.FuncCallStmt:
		s.Expr = w.one(s.Expr)
	case *ast.DoBlockStmt:
		s.Stmts = w.stmts(s.Stmts)
	case *ast.WhileStmt:
		s.Condition, s.Stmts = w.one(s.Condition), w.stmts(s.Stmts)
	case *ast.RepeatStmt:
		s.Condition, s.Stmts = w.one(s.Condition), w.stmts(s.Stmts)
	case *ast.IfStmt:
		s.Condition, s.Then, s.Else = w.one(s.Condition), w.stmts(s.Then), w.stmts(s.Else)
	case *ast.NumberForStmt:
		s.Init, s.Limit, s.Step = w.one(s.Init), w.one(s.Limit), w.one(s.Step)
		s.Stmts = w.stmts(s.Stmts)
	case *ast.GenericForStmt:
		w.all(s.Exprs)
		s.Stmts = w.stmts(s.Stmts)
	case *ast.FuncDefStmt:
		s.Func.Stmts = w.stmts(s.Func.Stmts)
	case *ast.ReturnStmt:
		w.all(s.Exprs)
	case *ast.BreakStmt:
	default:
		panic(fmt.Sprintf("line %d: a %T is not Lua 5.1", stmt.Line(), stmt))
	}
}

func (w walker) all(list []ast.Expr) {
	for i, e := range list {
		list[i] = w.one(e)
	}
}

func (w walker) one(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case nil:
		return nil
	case *ast.AttrGetExpr:
		e.Object, e.Key = w.one(e.Object), w.one(e.Key)
	case *ast.TableExpr:
		for _, f := range e.Fields {
			f.Key, f.Value = w.one(f.Key), w.one(f.Value)
		}
	case *ast.FuncCallExpr:
		e.Func, e.Receiver = w.one(e.Func), w.one(e.Receiver)
		w.all(e.Args)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = w.one(e.Lhs), w.one(e.Rhs)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = w.one(e.Lhs), w.one(e.Rhs)
	case *ast.StringConcatOpExpr:
		e.Lhs, e.Rhs = w.one(e.Lhs), w.one(e.Rhs)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = w.one(e.Lhs), w.one(e.Rhs)
	case *ast.UnaryMinusOpExpr:
		e.Expr = w.one(e.Expr)
	case *ast.UnaryNotOpExpr:
		e.Expr = w.one(e.Expr)
	case *ast.UnaryLenOpExpr:
		e.Expr = w.one(e.Expr)
	case *ast.FunctionExpr:
		e.Stmts = w.stmts(e.Stmts)
	}
	if w.expr == nil {
		return e
	}
	return w.expr(e)
}
