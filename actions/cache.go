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

// This file implements cache: true, with which a request asks only whether the response has changed
// (RFC 9110, 13: conditional requests; RFC 9111, 4.3).

const (
	// maxCached is the maximum size of a cached response: the bytes of its body as JSON.
	maxCached = 1 << 20
	// cachedBytes and cachedAnswers limit the cache of all workflows together.
	cachedBytes, cachedAnswers = 16 << 20, 1000
)

// answers caches the last responses of requests with cache: true, in memory: after a restart each
// is fetched once. It evicts the least recently used. The zero value is ready to use; a nil
// *answers caches nothing.
type answers struct {
	mu    sync.Mutex
	byKey map[[sha256.Size]byte]*list.Element
	used  list.List // the most recently used first
	bytes int
}

// answerKept is a cached response.
type answerKept struct {
	key            [sha256.Size]byte
	etag, modified string
	status         int
	headers        map[string]any
	body           []byte // as JSON, so that no step can change it
}

// answerKey returns the same key for the same request of a workflow. It is a hash because the
// headers contain credentials.
func answerKey(in engine.Input, o order) [sha256.Size]byte {
	parts := []string{in.Workflow, value.Shown(in.With["connection"]), o.method, o.url, o.parse}
	for _, name := range slices.Sorted(maps.Keys(o.header)) {
		if name != "Traceparent" {
			parts = append(parts, name, strings.Join(o.header[name], "\n"))
		}
	}
	return sha256.Sum256([]byte(strings.Join(parts, "\x00")))
}

// ask makes the request conditional if its response is cached.
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

// given replaces a 304 by the cached response.
func (k *answerKept) given(r *reply) error {
	body, err := value.DecodeJSON(k.body)
	if err != nil {
		return err
	}
	r.status, r.body, r.headers = k.status, body, maps.Clone(k.headers)
	return nil
}

// keep caches a response that can be revalidated.
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

// drop evicts a response. The caller holds a.mu.
func (a *answers) drop(e *list.Element) {
	kept := e.Value.(*answerKept)
	a.used.Remove(e)
	delete(a.byKey, kept.key)
	a.bytes -= len(kept.body)
}

// noStore reports whether the service forbids storing its response (RFC 9111, 5.2.2.5).
func noStore(h http.Header) bool {
	for _, d := range strings.Split(strings.ToLower(strings.Join(h.Values("Cache-Control"), ",")), ",") {
		if strings.TrimSpace(d) == "no-store" {
			return true
		}
	}
	return false
}

// sendKept makes the request, and returns the cached response if the service says that it is still
// valid.
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
