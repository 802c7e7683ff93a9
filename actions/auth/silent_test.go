package auth_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/seal"
)

// someNeverAnswer responds to token requests, except those to silent.example.com, which block until
// their context ends.
type someNeverAnswer struct{}

func (someNeverAnswer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "silent.example.com" {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"access_token": "t-0123456789", "expires_in": 3600}`))}, nil
}

// TestSilentTokenEndpointDelaysNoOther checks that a call which needs its token gets
// a retryable error within half a minute, and that the tokens of other connections are available at
// once.
func TestSilentTokenEndpointDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connection := func(host string) auth.Connection {
			p := placeWith(t, fmt.Sprintf(`{oauth2: {grant: client_credentials, token_url: "https://%s/token", client_id: id, `+
				`client_secret: "${{ secrets.SECRET }}", auth_style: params}}`, host), map[string]string{"SECRET": "client-secret"})
			c := p.to["crm"]
			c.Name = host
			return c
		}
		silent, lively := connection("silent.example.com"), connection("lively.example.com")
		p := placeWith(t, "{bearer: \"${{ secrets.SECRET }}\"}", map[string]string{"SECRET": "s"})
		source := auth.New(auth.Options{Store: p.db, Sealer: seal.New(p.dir), Client: &http.Client{Transport: someNeverAnswer{}},
			Log: slog.New(slog.DiscardHandler)})
		began := time.Now()
		waits := make(chan error, 10)
		for range cap(waits) {
			go func() {
				_, err := ready(t, source, silent)
				waits <- err
			}()
		}
		synctest.Wait()
		if _, err := ready(t, source, lively); err != nil || time.Since(began) > time.Second {
			t.Errorf("the other connection: %v after %s", err, time.Since(began))
		}
		for range cap(waits) {
			err := <-waits
			var known *plan.Error
			if !errors.As(err, &known) || !known.Retryable || !strings.Contains(known.Message, "connection silent.example.com") {
				t.Errorf("%T %v", err, err)
			}
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("they waited for %s", took)
		}
		source.Close()
	})
}
