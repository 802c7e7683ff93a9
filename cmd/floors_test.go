package cmd

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

const module = "github.com/hookloom/hookloom"

// floors are the levels of the packages: imports only point downward, and no package imports one of
// its own level.
var floors = map[string]int{
	"": 90, "cmd": 80, "cmd/e2e": 80,
	"engine/dryrun": 60, "engine/backtest": 49,
	"actions": 55, "actions/transform": 50, "actions/email": 50, "actions/sqldb": 50, "actions/auth": 50, "actions/file": 50,
	"triggers": 50, "engine/store": 50, "engine/store/storetest": 51, "engine/store/postgrestest": 0, "engine/store/postgres": 0,
	"engine/console": 50, "engine/telemetry": 50,
	"engine/machine": 50, "engine/intake": 48, "engine/control": 48, "engine/runner": 47, "engine/alert": 46, "engine/registry": 45,
	"engine/persist": 42,
	"engine":         40, "engine/plan": 30, "engine/destination": 30, "engine/redact": 30, "engine/secrets": 30,
	"actions/openapi": 50,
	"workflows":       20, "engine/content": 10,
	"workflows/expr": 10, "workflows/dataschema": 10, "workflows/value": 0, "workflows/spelling": -10, "workflows/lazyregexp": -10,
	"workflows/projecttest": 21,
	"engine/signature":      0, "engine/egress": 0, "engine/seal": 0, "engine/files": 0, "engine/memory": 0, "engine/shape": 0,
	"engine/permit": 0, "engine/lograte": 0,
	"engine/atomicfile": -10, "engine/freeport": -10, "engine/testgolden": -10, "engine/testsize": -10, "engine/store/postgreslocal": -5,
	"examples": 0, "docs": 0,
}

// owners are the packages that may import a foreign module, by its prefix.
var owners = map[string][]string{
	"gopkg.in/yaml.v3":                       {"workflows"},
	"github.com/expr-lang/expr":              {"workflows/expr"},
	"github.com/mattn/go-sqlite3":            {"engine/store", "cmd", "actions/sqldb"}, // cmd prints its version
	"github.com/cockroachdb/apd/v3":          {"workflows/expr"},
	"github.com/robfig/cron/v3":              {"triggers"},
	"github.com/spf13/cobra":                 {"cmd"},
	"github.com/spf13/pflag":                 {"cmd"}, // the flags of cobra's commands
	"github.com/golang-jwt/jwt/v5":           {"engine/signature", "actions/auth"},
	"golang.org/x/oauth2":                    {"actions/auth"},
	"golang.org/x/net":                       {"workflows"}, // international host names
	"golang.org/x/text":                      {"engine/signature", "engine/content", "workflows/dataschema"},
	"github.com/rogpeppe/go-internal":        {"engine/console"}, // its diff
	"github.com/prometheus/client_golang":    {"engine/telemetry"},
	"go.opentelemetry.io/otel":               {"engine/telemetry"},
	"go.opentelemetry.io/contrib":            {"engine/telemetry"},
	"golang.org/x/time":                      {"triggers", "engine/destination", "engine/console"},
	"github.com/sony/gobreaker/v2":           {"engine/destination"},
	"golang.org/x/crypto":                    {"cmd"},
	"golang.org/x/term":                      {"cmd"},
	"golang.org/x/sys":                       {"engine/store", "cmd"}, // Windows
	"filippo.io/age":                         {"engine/secrets"},
	"github.com/fsnotify/fsnotify":           {"cmd"},
	"github.com/mattn/go-runewidth":          {"cmd"},
	"github.com/cpuguy83/go-md2man/v2":       {"cmd"},
	"github.com/joho/godotenv":               {"workflows"},
	"github.com/jackc/pgx/v5":                {"actions/sqldb", "engine/store", "engine/store/postgres", "engine/store/postgrestest"},
	"github.com/go-sql-driver/mysql":         {"actions/sqldb"},
	"github.com/wneessen/go-mail":            {"actions/email"},
	"github.com/itchyny/gojq":                {"actions/transform"},
	"github.com/yuin/goldmark":               {"engine/console"},
	"github.com/modelcontextprotocol/go-sdk": {"cmd"},

	"github.com/santhosh-tekuri/jsonschema": {"workflows/dataschema"},
}

// visit parses every non-test file of the module.
func visit(t *testing.T, each func(pkg, file string, fset *token.FileSet, f *ast.File)) {
	t.Helper()
	root := ".."
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (strings.HasPrefix(e.Name(), ".") && p != root || e.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		if rel == "." {
			rel = ""
		}
		each(filepath.ToSlash(rel), p, fset, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestImportsPointDownwardOnly(t *testing.T) {
	visit(t, func(pkg, file string, _ *token.FileSet, f *ast.File) {
		floor, known := floors[pkg]
		if !known {
			t.Errorf("%s: package %q is in no table", file, pkg)
			return
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, ok := strings.CutPrefix(path, module+"/"); ok {
				if floors[own] >= floor {
					t.Errorf("%s (floor %d) imports %s (floor %d)", file, floor, own, floors[own])
				}
				continue
			}
			if !strings.Contains(strings.SplitN(path, "/", 2)[0], ".") {
				if pkg == "engine/plan" && (path == "os" || path == "net" || strings.HasPrefix(path, "net/") || strings.HasPrefix(path, "database/")) {
					t.Errorf("%s: the planner is pure and may not import %s", file, path)
				}
				continue
			}
			permitted := false
			for prefix, list := range owners {
				if path == prefix || strings.HasPrefix(path, prefix+"/") {
					for _, o := range list {
						permitted = permitted || o == pkg
					}
				}
			}
			if !permitted {
				t.Errorf("%s imports %s, which another package owns", file, path)
			}
		}
	})
}

// locks are the types with a lock in the packages that process events and runs: one for the state
// of each package, and one for each part that other goroutines use directly.
var locks = map[string][]string{"engine/intake": {"Intake", "waiters"}, "engine/runner": {"Runner", "rooms"}}

// TestIntakeAndRunnerHaveOneLockEach guards that each field has one owner.
func TestIntakeAndRunnerHaveOneLockEach(t *testing.T) {
	found := map[string][]string{}
	visit(t, func(pkg, file string, _ *token.FileSet, f *ast.File) {
		if locks[pkg] == nil {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			typ, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			ast.Inspect(typ, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if id, ok := s.X.(*ast.Ident); ok && id.Name == "sync" && (s.Sel.Name == "Mutex" || s.Sel.Name == "RWMutex") {
					found[pkg] = append(found[pkg], typ.Name.Name)
				}
				return true
			})
			return false
		})
	})
	for pkg, want := range locks {
		slices.Sort(found[pkg])
		if !slices.Equal(found[pkg], want) {
			t.Errorf("the locks of %s are in %v, want %v", pkg, found[pkg], want)
		}
	}
}

// TestTheEngineHoldsNounsAndContractsOnly guards that behavior is in other packages.
func TestTheEngineHoldsNounsAndContractsOnly(t *testing.T) {
	visit(t, func(pkg, file string, fset *token.FileSet, f *ast.File) {
		if pkg != "engine" {
			return
		}
		for _, i := range f.Imports {
			switch path := i.Path.Value; {
			case path == `"sync"`:
				t.Errorf("%s imports sync: a lock belongs to a package that works", file)
			case path == `"net"` || strings.HasPrefix(path, `"net/http`):
				t.Errorf("%s imports %s: actions are built with their HTTP client", file, path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s starts a goroutine", fset.Position(g.Pos()))
			}
			return true
		})
	})
}

// mustNotKnow are the packages whose comment says what they must not know.
var mustNotKnow = []string{"engine", "engine/machine", "engine/control", "engine/registry", "engine/memory", "engine/redact",
	"engine/content", "engine/alert", "engine/persist", "engine/intake", "engine/runner",
	"engine/secrets"}

func TestEveryPackageHasAComment(t *testing.T) {
	documented, bounded := map[string]bool{}, map[string]bool{}
	visit(t, func(pkg, file string, _ *token.FileSet, f *ast.File) {
		if f.Doc != nil && len(f.Doc.Text()) > 60 {
			documented[pkg] = true
			text := strings.Join(strings.Fields(f.Doc.Text()), " ")
			bounded[pkg] = bounded[pkg] || strings.Contains(text, "must not know")
		}
	})
	for pkg := range floors {
		if !documented[pkg] {
			t.Errorf("package %q has no comment", pkg)
		}
	}
	for _, pkg := range mustNotKnow {
		if !bounded[pkg] {
			t.Errorf("the comment of package %s does not say what it must not know", pkg)
		}
	}
}

// TestFunctionsStayReadable limits the length of functions to 70 lines.
func TestFunctionsStayReadable(t *testing.T) {
	visit(t, func(pkg, file string, fset *token.FileSet, f *ast.File) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > 70 {
				t.Errorf("%s: %s has %d lines", file, fn.Name.Name, n)
			}
			if fn.Name.Name == "init" && fn.Recv == nil {
				t.Errorf("%s: init() hides what happens", file)
			}
			if fn.Name.IsExported() && fn.Doc == nil && exportedReceiver(fn) {
				t.Errorf("%s: %s has no comment", file, fn.Name.Name)
			}
		}
	})
}

// goFile matches the name of a source file in a comment.
var goFile = regexp.MustCompile(`\b[a-z_]+\.go\b`)

// TestFilesStayReadable limits files to 500 lines of 140 columns, and checks that doc comments
// begin with the name and that files named in comments exist.
func TestFilesStayReadable(t *testing.T) {
	files, named := map[string]bool{}, []string(nil)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		files[filepath.Base(path)] = true
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines := strings.Split(string(b), "\n")
		if len(lines) > 501 {
			t.Errorf("%s has %d lines", path, len(lines)-1)
		}
		for i, l := range lines {
			if c, ok := strings.CutPrefix(strings.TrimSpace(l), "//"); ok {
				named = append(named, goFile.FindAllString(c, -1)...)
			}
			if n := utf8.RuneCountInString(l); n > 140 {
				t.Errorf("%s:%d has %d columns", path, i+1, n)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, name := range named {
		if !files[name] {
			t.Errorf("a comment names %s, which does not exist", name)
		}
	}
	visit(t, func(pkg, file string, fset *token.FileSet, f *ast.File) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && fn.Doc != nil && !strings.HasPrefix(fn.Doc.Text(), fn.Name.Name) {
				t.Errorf("%s: the comment of %s begins with %q", file, fn.Name.Name, strings.SplitN(fn.Doc.Text(), " ", 2)[0])
			}
		}
	})
}

// ownContexts are the files that create a context themselves, with the reason.
var ownContexts = map[string]string{
	"../engine/intake/accept.go":       "Refuse is called when the request has been answered",
	"../engine/alert/conditions.go":    "an alert outlives what raised it",
	"../engine/alert/refusals.go":      "an alert outlives what raised it",
	"../engine/console/session.go":     "read once, when the console is made",
	"../engine/secrets/secrets.go":     "a secret is looked up where no context is; each source has its own time limit",
	"../engine/signature/fetch.go":     "for requests without a context, in tests and on the command line",
	"../engine/store/tx.go":            "the driver runs a statement on the caller's goroutine only if its context cannot end",
	"../engine/telemetry/telemetry.go": "prometheus.Collector has no context",
	"../engine/telemetry/trace.go":     "spans are written when what they tell of is over",
	"../triggers/refusal.go":           "a refusal is diagnosed when the request has been answered",
}

// TestContextsComeFromTheCaller checks that only main, cmd and the files above create one.
func TestContextsComeFromTheCaller(t *testing.T) {
	visit(t, func(pkg, file string, fset *token.FileSet, f *ast.File) {
		if pkg == "" || pkg == "cmd" || ownContexts[filepath.ToSlash(file)] != "" {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := c.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "Background" || s.Sel.Name == "TODO") {
				if id, ok := s.X.(*ast.Ident); ok && id.Name == "context" {
					t.Errorf("%s: context.%s", fset.Position(c.Pos()), s.Sel.Name)
				}
			}
			return true
		})
	})
}

func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	e := fn.Recv.List[0].Type
	if s, ok := e.(*ast.StarExpr); ok {
		e = s.X
	}
	id, ok := e.(*ast.Ident)
	return ok && id.IsExported() && fn.Name.Name != "Unwrap"
}

func TestTopLevelHasOnlyTheAllowedEntries(t *testing.T) {
	allowed := map[string]bool{"engine": true, "triggers": true, "actions": true, "workflows": true, "examples": true, "cmd": true,
		"go.mod": true, "go.sum": true, "README.md": true, "main.go": true, "LICENSE": true, "docs": true, "Dockerfile": true}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !allowed[e.Name()] && !strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}

// TestEveryLazyRegexpCompiles, since a mistake in one would otherwise wait for its first use. The
// two whose text is not a constant are compiled by the tests of credential forms.
func TestEveryLazyRegexpCompiles(t *testing.T) {
	n := 0
	visit(t, func(pkg, file string, fset *token.FileSet, f *ast.File) {
		ast.Inspect(f, func(node ast.Node) bool {
			c, ok := node.(*ast.CallExpr)
			if !ok || len(c.Args) != 1 {
				return true
			}
			if s, ok := c.Fun.(*ast.SelectorExpr); !ok || s.Sel.Name != "New" || fmt.Sprint(s.X) != "lazyregexp" {
				return true
			}
			text, known := literalText(c.Args[0])
			if !known {
				if filepath.Base(file) != "credentialforms.go" {
					t.Errorf("%s: the expression is not a literal", fset.Position(c.Pos()))
				}
				return true
			}
			n++
			if _, err := regexp.Compile(text); err != nil {
				t.Errorf("%s: %v", fset.Position(c.Pos()), err)
			}
			return true
		})
	})
	if n < 80 {
		t.Errorf("%d expressions were found", n)
	}
}

// literalText joins the literals of an expression; known is false if it has other parts.
func literalText(e ast.Expr) (text string, known bool) {
	switch x := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(x.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := literalText(x.X)
		right, also := literalText(x.Y)
		return left + right, ok && also
	}
	return "", false
}
