package cmd

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// awaitSecret makes the running server accept the secret in the next handshake of a trigger's
// provider.
func (a *app) awaitSecret(ctx context.Context, l *loaded, trigger string) error {
	var out struct {
		Trigger string    `json:"trigger"`
		Until   time.Time `json:"until"`
	}
	if err := adminCall(ctx, l, http.MethodPost, "/api/v1/triggers/"+url.PathEscape(trigger)+"/await-secret", map[string]any{},
		&out); err != nil {
		return err
	}
	if a.json() {
		return a.printJSON(out)
	}
	a.printf("trigger %s accepts the secret from its provider's next handshake until %s\n", out.Trigger, out.Until.Local().Format("15:04:05"))
	return nil
}
