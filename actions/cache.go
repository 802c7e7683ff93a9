package actions

import (
	"container/list"
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file is cache: true, which asks a service only whether an answer has changed (RFC 9110,
// 13: conditional requests; RFC 9111, 4.3).

const (
	// maxCached is the largest answer that is kept, in bytes of its body as JSON.
	maxCached = 1 << 20
	// cachedBytes and cachedAnswers bound what is kept of all workflows together.
	cachedBytes, cachedAnswers = 16 << 20, 1000
)

// answers keeps the last answers of requests with cache: true, in memory: after a restart each
// is fetched once. What was used least recently goes first. The zero value is ready, and nil
// keeps nothing.
type answers struct {
	mu    sync.Mutex
	byKey map[[sha256.Size]byte]*list.Element
	used  list.List // the most recent first
	bytes int
}

// answerKept is one answer.
type answerKept struct {
	key            [sha256.Size]byte
	etag, modified string
	status         int
	headers        map[string]any
	body           []byte // as JSON, so that no step can change it
}

// answerKey is the same for the same request of a workflow. It is a hash: the headers hold
// credentials.
func answerKey(in engine.Input, o order) [sha256.Size]byte {
	parts := []string{in.Workflow, value.Shown(in.With["connection"]), o.method, o.url, o.parse}
	for _, name := range slices.Sorted(maps.Keys(o.header)) {
		if name != "Traceparent" {
			parts = append(parts, name, strings.Join(o.header[name], "\n"))
		}
	}
	return sha256.Sum256([]byte(strings.Join(parts, "\x00")))
}

// ask makes the request a conditional one, where an answer to it is kept.
func (a *answers) ask(key [sha256.Size]byte, o *order) *answerKept {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.byKey[key]
	if e == nil {
		return nil
	}
	a.used.MoveToFront(e)
	kept := e.Value.(*answerKept)
	if kept.etag != "" {
		o.header.Set("If-None-Match", kept.etag)
	} else {
		o.header.Set("If-Modified-Since", kept.modified)
	}
	return kept
}

// given puts the kept answer in place of a 304.
func (k *answerKept) given(r *reply) error {
	body, err := value.DecodeJSON(k.body)
	if err != nil {
		return err
	}
	r.status, r.body, r.headers = k.status, body, maps.Clone(k.headers)
	return nil
}

// keep keeps an answer that says how to ask for it again.
func (a *answers) keep(key [sha256.Size]byte, r *reply) {
	etag, modified := r.header.Get("ETag"), r.header.Get("Last-Modified")
	if a == nil || r.status != http.StatusOK || r.saved != nil || etag == "" && modified == "" || noStore(r.header) {
		return
	}
	body, err := value.EncodeJSON(r.body)
	if err != nil || len(body) > maxCached {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byKey == nil {
		a.byKey = map[[sha256.Size]byte]*list.Element{}
	}
	if e := a.byKey[key]; e != nil {
		a.drop(e)
	}
	a.byKey[key] = a.used.PushFront(&answerKept{key: key, etag: etag, modified: modified, status: r.status,
		headers: maps.Clone(r.headers), body: body})
	a.bytes += len(body)
	for a.bytes > cachedBytes || a.used.Len() > cachedAnswers {
		a.drop(a.used.Back())
	}
}

// drop forgets an answer. The caller holds a.mu.
func (a *answers) drop(e *list.Element) {
	kept := e.Value.(*answerKept)
	a.used.Remove(e)
	delete(a.byKey, kept.key)
	a.bytes -= len(kept.body)
}

// noStore reports whether the service forbids to keep its answer (RFC 9111, 5.2.2.5).
func noStore(h http.Header) bool {
	for _, d := range strings.Split(strings.ToLower(strings.Join(h.Values("Cache-Control"), ",")), ",") {
		if strings.TrimSpace(d) == "no-store" {
			return true
		}
	}
	return false
}

// sendKept makes the request, and gives the answer of the last one where the service says that
// it still holds.
func (a httpAction) sendKept(o order, in engine.Input, send func(order) (*reply, error)) (*reply, error) {
	wanted, _ := in.With["cache"].(bool)
	if !wanted || a.answers == nil || o.method != http.MethodGet || o.save != nil || o.header.Get("If-None-Match") != "" {
		return send(o)
	}
	key := answerKey(in, o)
	o.header = o.header.Clone()
	kept := a.answers.ask(key, &o)
	r, err := send(o)
	if err != nil {
		return nil, err
	}
	if kept != nil && r.status == http.StatusNotModified {
		return r, kept.given(r)
	}
	a.answers.keep(key, r)
	return r, nil
}
