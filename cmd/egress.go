package cmd

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/hookloom/hookloom/triggers"
)

// fetcher lets triggers fetch keys through the egress guard.
func fetcher(client *http.Client) triggers.Fetch {
	return func(ctx context.Context, r *http.Request) ([]byte, error) {
		resp, err := client.Do(r.WithContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("asking %s: %w", r.URL.Host, err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
		if err != nil {
			return nil, fmt.Errorf("reading the response of %s: %w", r.URL.Host, err)
		}
		if resp.StatusCode/100 != 2 {
			return nil, fmt.Errorf("%s answered %d", r.URL.Host, resp.StatusCode)
		}
		return b, nil
	}
}

// maxDocument is the maximum size in bytes of responses that triggers read: a key set, a
// certificate, a confirmation.
const maxDocument = 256 << 10
