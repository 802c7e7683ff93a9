package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"

	"github.com/hookloom/hookloom/engine"
)

// This file executes an API request once, however often it is sent, if its caller names it by an
// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07): the same request again gets the
// first response, another request with the same key gets 422, and one that is still being executed
// gets 409.

// maxKey is the maximum size of an Idempotency-Key in bytes; maxAnswer is the maximum size of a
// stored response.
const (
	maxKey    = 255
	maxAnswer = 1 << 20
)

// onceOnly wraps a handler that executes a request.
func (c *Console) onceOnly(do http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if key == "" {
			do(w, r)
			return
		}
		if len(key) > maxKey {
			problem(w, http.StatusBadRequest, fmt.Sprintf("Idempotency-Key has %d bytes; at most %d are allowed", len(key), maxKey))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
		if err != nil {
			problem(w, http.StatusRequestEntityTooLarge, "the body cannot be read: "+err.Error())
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		sum := sha256.Sum256(append([]byte(r.Method+" "+r.URL.RequestURI()+"\n"), body...))
		o, err := c.o.Operator.BeginOrder(r.Context(), key, sum[:])
		switch {
		case err != nil:
			c.fail(w, err)
		case !o.Known:
			c.carryOut(w, r, key, do)
		case !o.Same:
			problem(w, http.StatusUnprocessableEntity, "this Idempotency-Key was used for another request")
		case o.Status == 0:
			problem(w, http.StatusConflict,
				"the request with this Idempotency-Key, of "+o.At.Format("2006-01-02T15:04:05Z")+", is still running, "+
					"or was interrupted by a restart; the audit log shows whether it was executed")
		default:
			h := w.Header()
			h.Set("Content-Type", "application/json")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Cache-Control", "no-store")
			h.Set("Idempotent-Replayed", "true")
			w.WriteHeader(o.Status)
			_, _ = w.Write(o.Answer) // on failure the client has disconnected
		}
	}
}

// carryOut executes the request and stores its response; a failed request may be retried.
func (c *Console) carryOut(w http.ResponseWriter, r *http.Request, key string, do http.HandlerFunc) {
	seen := &answerWriter{statusWriter: statusWriter{ResponseWriter: w, status: http.StatusOK}}
	defer func() {
		var o engine.Order // the key is released
		if seen.status < http.StatusBadRequest && seen.body.Len() > 0 && !seen.secret {
			o.Status, o.Answer = seen.status, seen.body.Bytes()
		}
		if err := c.o.Operator.EndOrder(context.WithoutCancel(r.Context()), key, o); err != nil {
			c.o.Logger.Error("the response for an Idempotency-Key was not stored", "path", r.URL.Path, "error", err)
		}
	}()
	do(seen, r)
}

// answerWriter keeps what is written.
type answerWriter struct {
	statusWriter
	body bytes.Buffer
	// secret responses are not stored: their request may be sent again.
	secret bool
}

// notKept marks a response that must not be stored in the database.
func notKept(w http.ResponseWriter) {
	if a, ok := w.(*answerWriter); ok {
		a.secret = true
	}
}

func (w *answerWriter) Write(b []byte) (int, error) {
	if w.body.Len()+len(b) <= maxAnswer {
		w.body.Write(b)
	}
	return w.ResponseWriter.Write(b)
}
