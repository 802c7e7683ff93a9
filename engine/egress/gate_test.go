package egress_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/egress"
)

// TestRequestIsWrittenOnlyOnceItMayBegin: it is sent once it may, and never if its context ends first.
func TestRequestIsWrittenOnlyOnceItMayBegin(t *testing.T) {
	var served atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	defer s.Close()
	guard, err := egress.NewGuard([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	var may atomic.Bool
	guard.SetMayBegin(may.Load)
	client := guard.Client()
	defer client.CloseIdleConnections()
	ask := func(timeout time.Duration) error {
		r, err := http.NewRequest(http.MethodPost, s.URL, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		c := *client
		c.Timeout = timeout
		resp, err := c.Do(r)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	if err := ask(200 * time.Millisecond); err == nil || served.Load() != 0 {
		t.Fatalf("a request that may not begin: %v, %d served", err, served.Load())
	}
	time.AfterFunc(100*time.Millisecond, func() { may.Store(true) })
	if err := ask(10 * time.Second); err != nil || served.Load() != 1 {
		t.Errorf("a request that may begin after a while: %v, %d served", err, served.Load())
	}
	if err := ask(10 * time.Second); err != nil || served.Load() != 2 {
		t.Errorf("a request that may begin: %v, %d served", err, served.Load())
	}
}
