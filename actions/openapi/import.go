package openapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// Result is an imported connector file.
type Result struct {
	// Operations is the number of selected operations in the document; Imported is the number in
	// the file.
	Operations int
	Imported   int
	Skipped    []Skipped
	// Text is the generated file.
	Text []byte
	// Shortened says what was omitted because the file would be too large, or "".
	Shortened string
}

// Options configure an import.
type Options struct {
	// Name is the connector's name. Source says where the document comes from; From is its URL or
	// "".
	Name, Source, From string
	// Only selects tags, operation ids and path prefixes; empty selects all operations.
	Only []string
}

// details are tried in this order until the file is small enough.
var details = []struct {
	detail
	without string
}{
	{detail{returns: true, examples: true}, ""},
	{detail{returns: true}, "examples"},
	{detail{}, "examples and output types"},
}

// Import generates a connector file from a document. An operation that cannot be expressed is
// listed as skipped; the error is about the whole document.
func Import(ctx context.Context, text []byte, o Options) (*Result, error) {
	root, err := decode(text)
	if err != nil {
		return nil, err
	}
	s, err := read(root, o.From, o.Only)
	if err != nil {
		return nil, err
	}
	return s.result(ctx, o)
}

func (s *service) result(ctx context.Context, o Options) (*Result, error) {
	r := &Result{Operations: len(s.ops) + len(s.failed), Skipped: s.failed}
	if r.Operations == 0 {
		if len(o.Only) > 0 {
			return nil, fmt.Errorf("no operation has the tag, the id or the path %s; it has %s", strings.Join(o.Only, ", "), s.selectable())
		}
		return nil, errors.New("the document has no operations")
	}
	if len(s.ops) == 0 {
		return r, nil
	}
	ops := named(s.ops)
	var last workflows.Mistakes
	for _, d := range details {
		left, text, mistakes := s.fitting(ctx, o, slices.Clone(ops), d.detail, r)
		if text == nil {
			last = mistakes
			continue
		}
		r.Text, r.Imported, r.Shortened = text, left, d.without
		return r, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(last) > 0 {
		return nil, fmt.Errorf("the file cannot be written: %s", last[0].Problem)
	}
	return nil, errors.New("the file cannot be written")
}

// fitting generates the file and omits what the checker rejects: first the example of an action,
// then the action. It returns no text if the mistakes concern the file as a whole.
func (s *service) fitting(ctx context.Context, o Options, ops []*action, how detail, r *Result) (int, []byte, workflows.Mistakes) {
	var skipped []Skipped
	for ctx.Err() == nil {
		w := s.file(o.Name, o.Source, ops, how)
		_, found := workflows.CheckConnector("connectors/"+o.Name+".yaml", []byte(w.text))
		var mistakes workflows.Mistakes
		for _, m := range found {
			if !m.Warning {
				mistakes = append(mistakes, m)
			}
		}
		if len(mistakes) == 0 {
			r.Skipped = append(slices.Clone(s.failed), skipped...)
			return len(ops), []byte(w.text), nil
		}
		changed := map[int]bool{}
		drop := map[int]string{}
		for _, m := range mistakes {
			i, _ := slices.BinarySearch(w.lines, m.Line+1)
			if i--; i < 0 {
				return 0, nil, mistakes
			}
			if !changed[i] && ops[i].noExample {
				drop[i] = m.Problem
			}
			changed[i] = true
			ops[i].noExample = true
		}
		var left []*action
		for i, a := range ops {
			if why, gone := drop[i]; gone {
				skipped = append(skipped, Skipped{a.label(), why})
				continue
			}
			left = append(left, a)
		}
		if ops = left; len(ops) == 0 {
			return 0, nil, mistakes
		}
	}
	return 0, nil, nil
}
