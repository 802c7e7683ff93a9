package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// runtimeSource is added to the package under test. HOOKLOOM_MUTANT selects the mutant of a test
// binary, which appends the numbers of the mutants that it reaches to the file HOOKLOOM_MUTANT_LOG.
const runtimeSource = `package %s

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
)

var (
	mutantOn, _   = strconv.Atoi(os.Getenv("HOOKLOOM_MUTANT"))
	mutantLog     = os.Getenv("HOOKLOOM_MUTANT_LOG")
	mutantReached [%d]atomic.Bool
)

func mutantReach(n int) {
	if mutantLog == "" || mutantReached[n].Swap(true) {
		return
	}
	f, err := os.OpenFile(mutantLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fprintln(f, n)
}

func mutantIs(n int) bool {
	mutantReach(n)
	return n == mutantOn
}

func mutantPick[T any](n int, original, mutated T) T {
	if mutantIs(n) {
		return mutated
	}
	return original
}
`

// edit replaces a part of a file in the binary of all mutants: by a switch, or, if it is
// empty, by a call that records that the function is reached.
type edit struct {
	from, to int
	id       int
	switched string
}

// render writes source[lo:hi] with the edits inside, which are sorted and nested.
func render(source []byte, lo, hi int, edits []edit) string {
	var out strings.Builder
	for i := 0; i < len(edits); {
		e := edits[i]
		out.Write(source[lo:e.from])
		j := i + 1
		for j < len(edits) && e.to > e.from && edits[j].to <= e.to && edits[j].from < e.to {
			j++
		}
		if e.switched == "" {
			fmt.Fprintf(&out, "mutantReach(%d);", e.id)
		} else {
			fmt.Fprintf(&out, e.switched, e.id, render(source, e.from, e.to, edits[i+1:j]))
		}
		lo, i = e.to, j
	}
	out.Write(source[lo:hi])
	return out.String()
}

// switches returns the text of each file with all mutants in it.
func switches(mutants []*mutant) map[string]string {
	edits := map[*file][]edit{}
	for _, m := range mutants {
		if m.switched != "" {
			edits[m.file] = append(edits[m.file], edit{m.from, m.to, m.id, m.switched})
			continue
		}
		for f, at := range reaching(m.pkg, m) {
			for _, offset := range at {
				edits[f] = append(edits[f], edit{offset, offset, m.id, ""})
			}
		}
	}
	texts := map[string]string{}
	for f, list := range edits {
		slices.SortStableFunc(list, func(a, b edit) int { return cmp.Or(a.from-b.from, b.to-a.to, a.id-b.id) })
		texts[f.path] = render(f.source, 0, len(f.source), list)
	}
	return texts
}

// reaching returns the starts of the functions whose tests try a mutant that is compiled alone: the
// one it is in, or those that use the declared name, also through another declaration of the
// package.
func reaching(p *pkg, m *mutant) map[*file][]int {
	names := map[string]bool{m.name: true}
	for grown := true; grown && m.name != ""; {
		grown = false
		for _, f := range p.files {
			for _, d := range f.ast.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok {
					continue
				}
				for _, spec := range g.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && !names[v.Names[0].Name] && uses(v, names) {
						names[v.Names[0].Name], grown = true, true
					}
				}
			}
		}
	}
	at := map[*file][]int{}
	for _, f := range p.files {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			inside := f == m.file && p.fset.Position(fn.Pos()).Offset <= m.from && m.to <= p.fset.Position(fn.End()).Offset
			if inside || m.name != "" && uses(fn.Body, names) {
				at[f] = append(at[f], p.fset.Position(fn.Body.Lbrace).Offset+1)
			}
		}
	}
	return at
}

func uses(n ast.Node, names map[string]bool) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && names[id.Name]
		return !found
	})
	return found
}

// compile builds the test binary of a package with some files replaced, its own or others.
func compile(ctx context.Context, tested, dir, binary string, texts map[string]string) (output string, err error) {
	overlay := map[string]string{}
	for path, text := range texts {
		from, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		to := filepath.Join(dir, strconv.Itoa(len(overlay))+"_"+filepath.Base(path))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		overlay[from] = to
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), list, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-gcflags=-e",
		"-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "./"+tested)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var (
	errorPlace = regexp.MustCompile(`(?m)(\S+\.go):(\d+):\d+: `)
	switchCall = regexp.MustCompile(`mutant(?:Is|Pick\[[^()]*\])\((\d+)`)
)

// compileAll builds the binary of all mutants. A mutant whose switch does not compile is compiled
// alone.
func (b *bench) compileAll(ctx context.Context, mutants []*mutant) error {
	if alone, err := os.ReadFile(filepath.Join(b.dir, "compiled")); err == nil {
		for _, m := range mutants {
			if slices.Contains(strings.Fields(string(alone)), strconv.Itoa(m.id)) {
				m.switched = ""
			}
		}
		return nil
	}
	began := time.Now()
	last := mutants[len(mutants)-1].id
	for range 10 {
		texts := switches(mutants)
		for _, p := range packagesOf(mutants) {
			texts[filepath.Join(p.dir, "mutant_switch.go")] = fmt.Sprintf(runtimeSource, p.types.Name(), last+1)
		}
		output, err := compile(ctx, b.tested, b.dir, b.binary, texts)
		if err == nil {
			fmt.Fprintf(b.log, "%s: %d mutants compiled in %v\n", b.tested, len(mutants), time.Since(began).Round(time.Second))
			return b.compiled(mutants)
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || ctx.Err() != nil {
			return err
		}
		dropped := 0
		for _, place := range errorPlace.FindAllStringSubmatch(output, -1) {
			n, _ := strconv.Atoi(place[2])
			for path, text := range texts {
				lines := strings.Split(text, "\n")
				if !strings.HasSuffix(place[1], filepath.Base(path)) || n > len(lines) {
					continue
				}
				// A switch of an operator has several lines, the first of which has the number.
				for _, c := range switchCall.FindAllStringSubmatch(strings.Join(lines[max(0, n-2):min(len(lines), n+4)], "\n"), -1) {
					id, _ := strconv.Atoi(c[1])
					for _, m := range mutants {
						if m.id == id && m.switched != "" {
							m.switched = ""
							dropped++
						}
					}
				}
			}
		}
		if dropped == 0 {
			return fmt.Errorf("compile the mutants: %w\n%s", err, output)
		}
	}
	return errors.New("the mutants do not compile, whichever are left out")
}
