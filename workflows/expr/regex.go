package expr

import (
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows/value"
)

// Limits of regular expressions. Go's engine takes time proportional to the pattern times the text,
// so (a?){500}b over a megabyte runs for minutes; a large pattern also takes memory.
const (
	maxPatternText = 1000 // characters
	maxPatternSize = 10_000
	// keptPatterns limits the total size of the compiled patterns in the cache.
	keptPatterns = 100_000
)

// pattern is a compiled regular expression.
type pattern struct {
	re *regexp.Regexp
	// size is the number of instructions of its program.
	size int
	// looksBack reports whether it depends on the preceding text: \b, (?m)^.
	looksBack bool
}

// patterns caches compiled patterns. In practice only patterns of workflow files get here; the
// limit prevents computed ones from exhausting memory.
var patterns struct {
	sync.Mutex
	m    map[string]*pattern
	size int
}

func compiled(text string) *pattern {
	patterns.Lock()
	defer patterns.Unlock()
	if p := patterns.m[text]; p != nil {
		return p
	}
	if len(text) > maxPatternText {
		panic(fmt.Errorf("the regular expression is longer than %d characters", maxPatternText))
	}
	p := compilePattern(text)
	if patterns.m == nil || patterns.size+p.size > keptPatterns {
		patterns.m, patterns.size = map[string]*pattern{}, 0
	}
	patterns.m[strings.Clone(text)] = p
	patterns.size += p.size
	return p
}

func compilePattern(text string) *pattern {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		panic(fmt.Errorf("regular expression: %w", err))
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		panic(fmt.Errorf("regular expression: %w", err))
	}
	p := &pattern{size: len(prog.Inst)}
	if p.size > maxPatternSize {
		panic(&LimitError{fmt.Sprintf("the regular expression is too large: its repetitions expand to %d parts, the limit is %d; "+
			"write smaller numbers in { }", p.size, maxPatternSize)})
	}
	for _, i := range prog.Inst {
		const behind = syntax.EmptyBeginLine | syntax.EmptyWordBoundary | syntax.EmptyNoWordBoundary
		p.looksBack = p.looksBack || i.Op == syntax.InstEmptyWidth && syntax.EmptyOp(i.Arg)&behind != 0
	}
	if p.re, err = regexp.Compile(text); err != nil {
		panic(fmt.Errorf("regular expression: %w", err))
	}
	return p
}

// pattern returns a compiled pattern; an evaluation is charged once for each, whether it was cached
// or not.
func (m *meter) pattern(text string) *pattern {
	if p := m.patterns[text]; p != nil {
		m.work(2)
		return p
	}
	m.text(text, 1)
	p := compiled(text)
	m.work(10 * p.size)
	if len(m.patterns) >= 100 {
		clear(m.patterns)
	}
	if m.patterns == nil {
		m.patterns = map[string]*pattern{}
	}
	m.patterns[text] = p
	return p
}

// steps returns the work of one pass over n bytes. A large program exceeds the processor's cache
// and Go's optimized matchers.
func (p *pattern) steps(n int) int { return 5 + n*(4+p.size*max(1, min(5, p.size/32)))/16 }

func (m *meter) matches(text, pattern any) any {
	s, ok := text.(string)
	t, ok2 := pattern.(string)
	if !ok || !ok2 {
		panic(fmt.Errorf("matches needs two texts, got %s and %s", value.Describe(text), value.Describe(pattern)))
	}
	p := m.pattern(t)
	m.work(p.steps(len(s)))
	return p.re.MatchString(s)
}

func (m *meter) match(a []any) any {
	s := textArg("match", a, 0)
	p := m.pattern(textArg("match", a, 1))
	m.work(2 * p.steps(len(s)))
	groups := p.re.FindStringSubmatch(s)
	if groups == nil {
		return nil
	}
	m.charge(48 * len(groups))
	out := make([]any, len(groups))
	for i, g := range groups {
		out[i] = g
	}
	return out
}

// regexReplace replaces each match; $1 in the replacement is the first group.
func (m *meter) regexReplace(a []any) any {
	const name = "regexReplace"
	text, with := textArg(name, a, 0), textArg(name, a, 2)
	p := m.pattern(textArg(name, a, 1))
	m.work(2 * p.steps(len(text)))
	if !p.looksBack && len(text) > 256 {
		m.estimate(p, text)
	}
	inserted := strings.Count(with, "$")
	size := len(text)
	p.re.ReplaceAllStringFunc(text, func(match string) string {
		m.work(10 + len(match)/4)
		if p.looksBack {
			m.look = 0 // many matches that each look far ahead: check the clock now
		}
		if size += len(with) + inserted*len(match); size > maxExprBytes {
			m.charge(size)
		}
		return ""
	})
	m.charge(size)
	return p.re.ReplaceAllString(text, with)
}

// estimate finds all matches through a reader that counts what is read. Matches that each look far
// ahead, like a.*b|a over a text of a's, take quadratic time, which only the actual reading shows.
func (m *meter) estimate(p *pattern, text string) {
	r := &countingReader{m: m, per: 1 + p.size/8}
	for at := 0; at <= len(text); {
		r.text, r.at = text[at:], 0
		found := p.re.FindReaderIndex(r)
		if found == nil {
			return
		}
		if found[1] == 0 {
			_, size := utf8.DecodeRuneInString(text[at:])
			found[1] = max(size, 1)
		}
		at += found[1]
	}
}

// countingReader returns the characters of a text and counts each as work.
type countingReader struct {
	m    *meter
	text string
	at   int
	per  int
}

// ReadRune implements io.RuneReader.
func (r *countingReader) ReadRune() (rune, int, error) {
	r.m.work(r.per)
	if r.at >= len(r.text) {
		return 0, 0, io.EOF
	}
	c, size := utf8.DecodeRuneInString(r.text[r.at:])
	r.at += size
	return c, size, nil
}
