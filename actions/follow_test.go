package actions_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// TestAcceptedOperationIsPolledToItsEnd checks a 202, a poll that fails once, and the result,
// requested with the credential and without the body.
func TestAcceptedOperationIsPolledToItsEnd(t *testing.T) {
	var looks atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.Method + " " + r.URL.Path {
		case "POST /jobs":
			w.Header().Set("Location", "/jobs/7")
			w.Header().Set("Retry-After", "0.01")
			w.WriteHeader(http.StatusAccepted)
		case "GET /jobs/7":
			if len(body) > 0 || r.Header.Get("Authorization") != "Bearer t" || r.Header.Get("Idempotency-Key") != "" {
				t.Errorf("asked with %q %v", body, r.Header)
			}
			w.Header().Set("Retry-After", "0.01")
			switch looks.Add(1) {
			case 1:
				w.WriteHeader(http.StatusAccepted)
			case 2:
				w.WriteHeader(http.StatusServiceUnavailable)
			default:
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"done": true}`)
			}
		}
	}))
	defer server.Close()
	with := map[string]any{"url": server.URL + "/jobs", "body": map[string]any{"a": 1}, "auth": map[string]any{"bearer": "t"}, "follow": true}
	out, err := do(t, t.Context(), "http/post", with, nil)
	if err != nil || out.(map[string]any)["status"] != 200 || out.(map[string]any)["body"].(map[string]any)["done"] != true ||
		looks.Load() != 3 {
		t.Errorf("%v %v after %d", out, err, looks.Load())
	}
	delete(with, "follow")
	if out, err := do(t, t.Context(), "http/post", with, nil); err != nil || out.(map[string]any)["status"] != 202 {
		t.Errorf("without follow: %v %v", out, err)
	}
}

func TestFollowKeepsTheCredentialAndEnds(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another origin was asked") }))
	defer other.Close()
	for location, code := range map[string]string{other.URL + "/x": "bad_answer", "": "bad_answer", "http://u:p@127.0.0.1/": "bad_answer",
		"/for/ever": "timeout"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(http.StatusAccepted)
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := do(t, ctx, "http/post", map[string]any{"url": server.URL, "follow": true}, nil)
		cancel()
		server.Close()
		var e *plan.Error
		if !errors.As(err, &e) || e.Code != code || errors.Is(err, engine.ErrUnanswered) != (code == "timeout") {
			t.Errorf("%q: %v", location, err)
		}
	}
}
