package redact

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// Redactor replaces secret values by *** wherever they would be stored or shown, whatever key they
// are under and however they are encoded. It is safe for concurrent use; reads take no lock.
type Redactor struct {
	found atomic.Pointer[redactions]
	mu    sync.Mutex // serializes changes
	// steps are the step fields that history.redact names.
	steps atomic.Pointer[map[stepPlace]*Fields]
}

// redactions are the values that a redactor masks.
type redactions struct {
	matcher *matcher
	// current are the values in use; learned are values provided by Learn; retired are values no
	// longer in use, with the time since.
	current, learned map[string]bool
	retired          map[string]time.Time
	forms            map[string][]form
}

const (
	// maxRetired limits the replaced values that stay masked for the life of the process: runs that
	// used them may be open for months, and responses to requests that carried them may still
	// arrive. maxLearned limits the values of Learn.
	maxRetired = 1024
	maxLearned = 4096
)

// Set replaces the secrets to mask. The previous ones stay masked, up to a number.
func (r *Redactor) Set(secrets []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	next := &redactions{current: map[string]bool{}, learned: map[string]bool{}, retired: map[string]time.Time{}, forms: map[string][]form{}}
	for _, s := range secrets {
		next.current[s] = true
	}
	if old := r.found.Load(); old != nil {
		next.forms = old.forms
		maps.Copy(next.retired, old.retired)
		for _, set := range []map[string]bool{old.current, old.learned} {
			for s := range set {
				next.retired[s] = now
			}
		}
	}
	for s := range next.current {
		delete(next.retired, s)
	}
	next.boundRetired()
	next.build()
	r.found.Store(next)
}

// Learn adds values that Set may not contain, such as those that only an older version of a
// workflow names.
func (r *Redactor) Learn(secrets ...string) {
	if known := r.found.Load(); known != nil && !slices.ContainsFunc(secrets, func(s string) bool { return !known.knows(s) }) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.found.Load()
	if old == nil {
		old = &redactions{}
	}
	next := &redactions{current: old.current, retired: old.retired, learned: map[string]bool{}, forms: old.forms}
	for s := range old.learned {
		next.learned[s] = true
	}
	for _, s := range secrets {
		if !old.knows(s) && len(next.learned) < maxLearned {
			next.learned[s] = true
		}
	}
	next.build()
	r.found.Store(next)
}

func (d *redactions) knows(s string) bool {
	_, retired := d.retired[s]
	return len(s) < shortestSecret || retired || d.current[s] || d.learned[s]
}

func (d *redactions) boundRetired() {
	for len(d.retired) > maxRetired {
		oldest := ""
		for s, at := range d.retired {
			if oldest == "" || at.Before(d.retired[oldest]) {
				oldest = s
			}
		}
		delete(d.retired, oldest)
	}
}

// build builds the matcher. It reuses the forms of values that were there before.
func (d *redactions) build() {
	forms := map[string][]form{}
	seen := map[string]bool{}
	var list []form
	add := func(s string) {
		fs, ok := d.forms[s]
		if !ok {
			fs = secretForms(s)
		}
		forms[s] = fs
		for _, f := range fs {
			if !seen[f.text] {
				seen[f.text] = true
				list = append(list, f)
			}
		}
	}
	for _, set := range []map[string]bool{d.current, d.learned} {
		for s := range set {
			add(s)
		}
	}
	for s := range d.retired {
		add(s)
	}
	d.forms, d.matcher = forms, newMatcher(list)
}

// With returns a masker for one run: it masks the redactor's values, now and later, and further
// values, such as secret inputs. A value that is too short to be searched for is masked where it is
// a complete JSON string.
func (r *Redactor) With(values []string) *Masker {
	m := &Masker{base: r}
	var list, whole []form
	for _, v := range values {
		if len(v) >= shortestSecret {
			list = append(list, secretForms(v)...)
		} else if v != "" {
			whole = append(whole, form{text: `"` + jsonText(v) + `"`})
		}
	}
	m.own, m.whole = newMatcher(list), newMatcher(whole)
	return m
}

func (r *Redactor) matcher() *matcher {
	if r == nil {
		return nil
	}
	if d := r.found.Load(); d != nil {
		return d.matcher
	}
	return nil
}

// Bytes masks secrets in b; it returns b itself if there are none.
func (r *Redactor) Bytes(b []byte) []byte {
	if out, changed := replaced(r.matcher(), b); changed {
		return out
	}
	return b
}

// Text masks secrets in s.
func (r *Redactor) Text(s string) string {
	if out, changed := replaced(r.matcher(), s); changed {
		return string(out)
	}
	return s
}

// JSON masks secrets in a JSON text, which stays valid. changed reports whether there were any.
func (r *Redactor) JSON(b []byte) (out []byte, changed bool) {
	if out, changed = replaced(r.matcher(), b); changed && !json.Valid(out) {
		// A number, or a part of the syntax, matched a secret.
		return maskValues(b, r.Text), true
	}
	if !changed {
		return b, false
	}
	return out, true
}

// Masker masks what a redactor knows and the secret inputs of one run. A nil Masker masks nothing.
type Masker struct {
	base *Redactor
	own  *matcher
	// whole finds values that are masked only if they are a complete string.
	whole *matcher
}

// JSON masks secrets in a JSON text, which stays valid. changed reports whether there were any.
func (m *Masker) JSON(b []byte) (out []byte, changed bool) {
	if m == nil {
		return b, false
	}
	out = b
	if x, found := replacedBy(m.whole, b, `"`+workflows.Mask+`"`); found {
		out, changed = x, true
	}
	if x, found := replacedByAny(m.own, m.base.matcher(), out); found {
		if !json.Valid(x) {
			x = maskValues(out, m.Text)
		}
		out, changed = x, true
	}
	return out, changed
}

// Text masks secrets in s.
func (m *Masker) Text(s string) string {
	if m == nil {
		return s
	}
	if out, changed := replacedByAny(m.own, m.base.matcher(), s); changed {
		return string(out)
	}
	return s
}

// maskValues masks the names, strings and numbers of a JSON text individually.
func maskValues(b []byte, text func(string) string) []byte {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return []byte(`"` + workflows.Mask + `"`)
	}
	out, err := value.EncodeStored(maskLeaves(v, text))
	if err != nil {
		return []byte(`"` + workflows.Mask + `"`)
	}
	return out
}

func maskLeaves(v any, text func(string) string) any {
	switch x := v.(type) {
	case string:
		return text(x)
	case json.Number:
		if s := text(x.String()); s != x.String() {
			return s
		}
	case []any:
		for i := range x {
			x[i] = maskLeaves(x[i], text)
		}
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[text(k)] = maskLeaves(e, text)
		}
		return out
	}
	return v
}
