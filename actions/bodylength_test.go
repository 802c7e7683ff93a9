package actions_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/plan"
)

// TestBodyOfAnyContentLengthIsReadWhole: the length decides only the size of the first buffer.
func TestBodyOfAnyContentLengthIsReadWhole(t *testing.T) {
	for _, n := range []int{0, 1, 510, 511, 512, 513, 70_000} {
		for _, announced := range []bool{true, false} {
			body := strings.Repeat("x", n)
			x := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				if announced {
					w.Header().Set("Content-Length", fmt.Sprint(n))
				} else {
					w.(http.Flusher).Flush()
				}
				fmt.Fprint(w, body)
			}))
			out, err := do(t, t.Context(), "http/get", map[string]any{"url": x.URL, "parse": "text"}, nil)
			x.Close()
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if got, _ := out.(map[string]any)["body"].(string); got != body {
				t.Errorf("%d bytes, announced %t: %d were read", n, announced, len(got))
			}
		}
	}
}

// TestABodyThatEndsEarlyIsAnError: fewer bytes than announced are no response.
func TestABodyThatEndsEarlyIsAnError(t *testing.T) {
	x := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "only this")
	}))
	defer x.Close()
	_, err := do(t, t.Context(), "http/get", map[string]any{"url": x.URL}, nil)
	if e := (*plan.Error)(nil); !errors.As(err, &e) || e.Code != "network" {
		t.Errorf("the step ended with %v", err)
	}
}
