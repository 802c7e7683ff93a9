package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"
)

// mutant is one change of one file.
type mutant struct {
	Package  string
	File     string
	Line     int
	Function string // with its receiver's type, or the constant or variable
	Change   string // "old -> new", on one line
	Result   string
	By       string `json:",omitempty"` // the first test that failed, or the reason of an equivalent

	pkg  *pkg
	file *file
	id   int
	// from and to are the offsets of what text replaces.
	from, to int
	text     string
	// switched replaces the code in the binary of all mutants. It contains the mutant's number as
	// %[1]d and the code itself, with the switches inside, as %[2]s. It is empty if the mutant must
	// be compiled alone.
	switched string
	// name is the constant or variable whose declaration is changed.
	name string
}

func (m *mutant) String() string {
	s := fmt.Sprintf("%-12s %s:%d  %s:  %s", m.Result, m.File, m.Line, m.Function, m.Change)
	if m.By != "" {
		s += "  (" + m.By + ")"
	}
	return s
}

// finder collects the mutants of a file.
type finder struct {
	p       *pkg
	f       *file
	imports map[string]string // path to the name in this file
	// function and name say where the finder is.
	function, name string
	inConst        bool
	// greater is a comparison whose boundary makes no difference.
	greater ast.Node
}

func (p *pkg) find(f *file) {
	x := &finder{p: p, f: f, imports: map[string]string{}}
	for _, i := range f.ast.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		if i.Name != nil {
			x.imports[path] = i.Name.Name
		} else if imported := p.types.Imports(); imported != nil {
			for _, q := range imported {
				if q.Path() == path {
					x.imports[path] = q.Name()
				}
			}
		}
	}
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			x.function, x.name, x.inConst = functionName(d), "", false
			if d.Body != nil {
				ast.Inspect(d.Body, x.visit)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					x.function, x.name, x.inConst = v.Names[0].Name, v.Names[0].Name, d.Tok == token.CONST
					for _, value := range v.Values {
						ast.Inspect(value, x.visit)
					}
				}
			}
		}
	}
}

func functionName(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if index, ok := t.(*ast.IndexExpr); ok {
		t = index.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name + "." + d.Name.Name
	}
	return d.Name.Name
}

// visit adds the mutants of one node, and reports whether to visit its children.
func (x *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		if n.Tok == token.CONST { // a constant in a function
			return false
		}
	case *ast.ArrayType, *ast.ImportSpec:
		return false
	case *ast.IfStmt:
		x.negate(n.Cond)
		x.greater = x.takesGreater(n)
	case *ast.ForStmt:
		if n.Cond != nil {
			x.negate(n.Cond)
		}
	case *ast.BinaryExpr:
		x.operator(n)
	case *ast.BasicLit:
		x.number(n)
	case *ast.Ident:
		x.boolean(n)
	case *ast.ReturnStmt:
		x.result(n)
		if x.hasNothing(n) {
			for _, r := range n.Results {
				if id, ok := r.(*ast.Ident); ok {
					x.boolean(id)
				}
			}
			return false
		}
	case *ast.BlockStmt:
		x.removals(n.List)
	case *ast.CaseClause:
		x.removals(n.Body)
	case *ast.CommClause:
		x.removals(n.Body)
	}
	return true
}

// add records a mutant. switched is empty for one that must be compiled alone.
func (x *finder) add(n ast.Node, text, switched string) {
	from, to := x.offset(n.Pos()), x.offset(n.End())
	line := x.p.fset.Position(n.Pos()).Line
	if !x.f.wants(line) {
		return
	}
	old := string(x.f.source[from:to])
	shown := text
	if _, ok := n.(*ast.BinaryExpr); ok && strings.HasPrefix(text, "(") {
		shown = strings.TrimSuffix(strings.TrimPrefix(text, "("), ")")
	}
	if text == "" {
		shown = "nothing"
	}
	if x.inConst {
		switched = ""
	}
	x.p.mutants = append(x.p.mutants, &mutant{
		Package: x.p.dir, File: x.f.path, Line: line, Function: x.function, Change: oneLine(old) + " -> " + oneLine(shown),
		pkg: x.p, file: x.f, from: from, to: to, text: text, switched: switched, name: x.name,
	})
}

func (x *finder) offset(p token.Pos) int { return x.p.fset.Position(p).Offset }

func (x *finder) source(n ast.Node) string {
	return string(x.f.source[x.offset(n.Pos()):x.offset(n.End())])
}

// oneLine shortens code to one line for the report.
func oneLine(code string) string {
	code = strings.Join(strings.Fields(code), " ")
	if r := []rune(code); len(r) > 100 {
		code = string(r[:97]) + "..."
	}
	return code
}

// negate takes the other branch. A single comparison is left to operator, which has its opposite.
func (x *finder) negate(cond ast.Expr) {
	if b, ok := cond.(*ast.BinaryExpr); ok && (b.Op == token.EQL || b.Op == token.NEQ) {
		return
	}
	x.add(cond, "!("+x.source(cond)+")", "(mutantIs(%[1]d) != (%[2]s))")
}

// takesGreater returns the condition of "if a > b { b = a }", and nil for any other
// statement: with equal values, the assignment changes nothing.
func (x *finder) takesGreater(n *ast.IfStmt) ast.Node {
	c, ok := n.Cond.(*ast.BinaryExpr)
	if !ok || len(n.Body.List) != 1 || n.Else != nil {
		return nil
	}
	a, ok := n.Body.List[0].(*ast.AssignStmt)
	if !ok || len(a.Lhs) != 1 || len(a.Rhs) != 1 {
		return nil
	}
	left, right, to, from := x.source(c.X), x.source(c.Y), x.source(a.Lhs[0]), x.source(a.Rhs[0])
	if left == to && right == from || left == from && right == to {
		return c
	}
	return nil
}

// opposites are the operators that replace each other.
var opposites = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.MUL,
}

func (x *finder) operator(n *ast.BinaryExpr) {
	other, ok := opposites[n.Op]
	if !ok || n == x.greater {
		return
	}
	tv := x.p.info.Types[n]
	basic, _ := tv.Type.Underlying().(*types.Basic)
	if n.Op == token.ADD && (basic == nil || basic.Info()&types.IsString != 0) || n.Op == token.REM && tv.Value != nil {
		return
	}
	text := "(" + x.operand(n.X) + " " + other.String() + " " + x.operand(n.Y) + ")"
	switched := ""
	if name, ok := x.typeName(tv.Type); ok && tv.Value == nil {
		switched = "func() " + name + " {\nif mutantIs(%[1]d) { return " + strings.ReplaceAll(text, "%", "%%") + " }\nreturn (%[2]s) }()"
	}
	x.add(n, text, switched)
}

// operand parenthesizes an operand where another operator needs it.
func (x *finder) operand(e ast.Expr) string {
	if _, ok := e.(*ast.BinaryExpr); ok {
		return "(" + x.source(e) + ")"
	}
	return x.source(e)
}

// typeName returns how the file can name a type.
func (x *finder) typeName(t types.Type) (name string, ok bool) {
	ok = true
	if b, isBasic := t.(*types.Basic); isBasic {
		t = types.Default(b)
	}
	name = types.TypeString(t, func(q *types.Package) string {
		if q == x.p.types {
			return ""
		}
		if x.imports[q.Path()] == "" {
			ok = false
		}
		return x.imports[q.Path()]
	})
	return name, ok
}

// number makes an integer one larger.
func (x *finder) number(n *ast.BasicLit) {
	if n.Kind != token.INT {
		return
	}
	v, err := strconv.ParseInt(n.Value, 0, 64)
	if err != nil {
		return
	}
	if v == 0 && x.p.info.Types[n].Type.String() == "time.Duration" {
		return // a nanosecond makes no observable difference
	}
	text := strconv.FormatInt(v+1, 10)
	switched := ""
	t := x.p.info.Types[n].Type
	untyped := types.Default(t) != t // inside a constant expression: the context determines its type
	if name, ok := x.typeName(t); ok && !untyped {
		switched = "mutantPick[" + name + "](%[1]d, %[2]s, " + text + ")"
	}
	x.add(n, text, switched)
}

func (x *finder) boolean(n *ast.Ident) {
	c, ok := x.p.info.Uses[n].(*types.Const)
	if !ok || c.Pkg() != nil || n.Name != "true" && n.Name != "false" {
		return
	}
	name, ok := x.typeName(x.p.info.Types[n].Type)
	if !ok {
		return
	}
	text := map[string]string{"true": "false", "false": "true"}[n.Name]
	x.add(n, text, "mutantPick["+name+"](%[1]d, %[2]s, "+text+")")
}

// result returns nil instead of an error, and the opposite of a Boolean.
func (x *finder) result(n *ast.ReturnStmt) {
	if len(n.Results) == 0 {
		return
	}
	last := n.Results[len(n.Results)-1]
	t := x.p.info.Types[last].Type
	if t == nil {
		return
	}
	if _, isTuple := t.(*types.Tuple); isTuple {
		return
	}
	isError := types.Implements(t, errorType) && len(n.Results) > 0 && !isNil(last)
	if isError {
		text := strings.TrimSuffix(x.source(n), x.source(last)) + "nil"
		x.add(n, text, "if mutantIs(%[1]d) {\n"+strings.ReplaceAll(text, "%", "%%")+"\n} else {\n%[2]s\n}")
		return
	}
	basic, _ := t.Underlying().(*types.Basic)
	_, isIdent := last.(*ast.Ident)
	_, isCall := last.(*ast.CallExpr)
	if basic != nil && basic.Info()&types.IsBoolean != 0 && (isCall || isIdent && x.p.info.Types[last].Value == nil) {
		x.add(last, "!"+x.source(last), "(mutantIs(%[1]d) != (%[2]s))")
	}
}

// hasNothing reports a return of constants together with false or an error. By convention, the
// caller ignores them.
func (x *finder) hasNothing(n *ast.ReturnStmt) bool {
	failed := false
	for _, r := range n.Results {
		tv := x.p.info.Types[r]
		_, isComposite := r.(*ast.CompositeLit)
		id, isIdent := r.(*ast.Ident)
		switch {
		case isIdent && id.Name == "false", tv.Type != nil && !isNil(r) && types.Implements(tv.Type, errorType):
			failed = true
		case tv.Value == nil && !isNil(r) && !isComposite:
			return false
		}
	}
	return failed && len(n.Results) > 1
}

var errorType = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

func isNil(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "nil"
}

// removals removes statements, one at a time.
func (x *finder) removals(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if !x.isKept(s.X) {
				x.remove(s)
			}
		case *ast.AssignStmt:
			if id, ok := s.Lhs[0].(*ast.Ident); s.Tok != token.DEFINE && !(ok && id.Name == "_") {
				x.remove(s)
			}
		case *ast.IncDecStmt, *ast.SendStmt:
			x.remove(s)
		case *ast.BranchStmt:
			if s.Tok == token.CONTINUE || s.Tok == token.BREAK {
				x.remove(s)
			}
		}
	}
}

func (x *finder) remove(s ast.Stmt) {
	x.add(s, "", "if !mutantIs(%[1]d) {\n%[2]s\n}")
}

// isKept reports calls that are not removed: those that end the function, because the rest would
// not compile; log lines, which nothing depends on; and locks, which the race detector checks.
func (x *finder) isKept(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name == "panic"
	case *ast.SelectorExpr:
		if t := x.p.info.Types[f.X].Type; t != nil {
			switch strings.TrimPrefix(t.String(), "*") {
			case "log/slog.Logger", "sync.Mutex", "sync.RWMutex":
				return true
			}
		}
		if id, ok := f.X.(*ast.Ident); ok && (id.Name == "slog" || id.Name == "runtime") {
			return true
		}
	}
	return false
}
