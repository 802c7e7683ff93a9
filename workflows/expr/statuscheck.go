package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// statusComparison reports run.status compared with a word that is not a status: such a condition
// in finally: would be always or never true.
func (l *linter) statusComparison(x *ast.BinaryNode) {
	m, ok := x.Left.(*ast.MemberNode)
	if !ok || x.Operator != "==" && x.Operator != "!=" {
		return
	}
	root, keys, _ := chain(m)
	id, named := root.(*ast.IdentifierNode)
	word, text := x.Right.(*ast.StringNode)
	if !named || !text || l.declared[id.Value] || id.Value != "run" || len(keys) != 1 || keys[0] != "status" ||
		slices.Contains(RunStatuses, word.Value) {
		return
	}
	hint := "one of " + strings.Join(RunStatuses, ", ")
	switch word.Value {
	case "success", "completed", "ok", "done":
		hint = `write "succeeded"`
	case "failure", "error":
		hint = `write "failed"`
	case "timeout":
		hint = `write "timed_out"`
	}
	l.fail("unknown-word", x.Right, len(word.Value)+2, fmt.Sprintf("run.status is never %q", word.Value), hint)
}

// RunStatuses are the final statuses of a run that workflow_run can listen to.
var RunStatuses = []string{"succeeded", "failed", "cancelled", "timed_out"}
