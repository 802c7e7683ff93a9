package expr

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows/value"
)

// Evaluation is the result of an expression, or of a text with ${{ }}, with all parts.
type Evaluation struct {
	// Value is nil if Problem is set.
	Value   any    `json:"value"`
	Type    string `json:"type"`
	Problem string `json:"error,omitempty"`
	// Expressions are those in the text, in order.
	Expressions []EvaluatedExpression `json:"expressions"`
}

// EvaluatedExpression is one of a text's expressions, or the only one.
type EvaluatedExpression struct {
	*Explanation
	Expression string `json:"expression"`
}

// maxExpressions is the maximum number of expressions that Evaluate accepts in one text.
const maxExpressions = 500

// errExpressions means that a text's expressions together exceed the limits of Explain.
var errExpressions = &LimitError{fmt.Sprintf("the text has more than %d expressions, or they take more than %d million steps or "+
	"create more than %d MiB together: evaluate fewer at once", maxExpressions, maxWork/1_000_000, maxExplainedBytes>>20)}

// Evaluate evaluates an expression, or a text with ${{ }}, and each part of it. A text that is
// exactly one ${{ }} keeps the type of its value. The error means that the text does not compile.
func Evaluate(text string, env *Env) (*Evaluation, error) {
	pieces, err := templatePieces(text)
	if err != nil {
		return nil, err
	}
	out := &Evaluation{Expressions: []EvaluatedExpression{}}
	var whole strings.Builder
	var problems []string
	x := &explainer{env: env}
	for _, p := range pieces {
		if !p.expression {
			whole.WriteString(p.text)
			continue
		}
		if len(out.Expressions) == maxExpressions || x.spent() {
			return nil, errExpressions
		}
		one, err := x.explain(p.text)
		if err != nil {
			return nil, err
		}
		out.Expressions = append(out.Expressions, EvaluatedExpression{one, p.text})
		first := one.Parts[0]
		if first.Problem != "" {
			problems = append(problems, first.Problem)
		} else if t, err := value.Text(first.Value); err != nil {
			problems = append(problems, err.Error())
		} else if first.Value != nil {
			whole.WriteString(t)
		}
	}
	single := len(pieces) == 1 && len(out.Expressions) == 1
	switch {
	case single && out.Expressions[0].Parts[0].Problem == "":
		out.Value, out.Type = out.Expressions[0].Parts[0].Value, out.Expressions[0].Parts[0].Type
	case len(problems) > 0:
		out.Problem = strings.Join(problems, "; ")
	default:
		out.Value, out.Type = whole.String(), "text"
	}
	return out, nil
}

type templatePiece struct {
	text       string
	expression bool
}

// templatePieces splits a text at its ${{ }}; $${{ stands for the text ${{. A text without ${{ }}
// is one expression.
func templatePieces(text string) (out []templatePiece, err error) {
	if !strings.Contains(text, "${{") {
		return []templatePiece{{text, true}}, nil
	}
	for text = strings.TrimSpace(text); text != ""; {
		before, rest, found := strings.Cut(text, "${{")
		if found && strings.HasSuffix(before, "$") {
			out = append(out, templatePiece{text: before[:len(before)-1] + "${{"})
			text = rest
			continue
		}
		if before != "" {
			out = append(out, templatePiece{text: before})
		}
		if !found {
			break
		}
		end, err := End(rest)
		if err != nil {
			return nil, err
		}
		out = append(out, templatePiece{strings.TrimSpace(rest[:end]), true})
		text = rest[end+len("}}"):]
	}
	return out, nil
}
