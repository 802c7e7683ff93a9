package console

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/hookloom/hookloom/engine"
)

// awaitSecret starts the period in which a trigger accepts its provider's secret.
func (c *Console) awaitSecret(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if c.o.AwaitSecret == nil {
		problem(w, http.StatusNotFound, "this server does not accept secrets from handshakes")
		return
	}
	until, err := c.o.AwaitSecret(name)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		problem(w, http.StatusNotFound, err.Error())
	case err != nil:
		problem(w, http.StatusConflict, err.Error())
	default:
		reply(w, http.StatusOK, awaitAnswer{name, until.UTC()})
	}
}

// doAwaitSecret handles the button of a trigger's page.
func (c *Console) doAwaitSecret(w http.ResponseWriter, r *http.Request) {
	name := r.PostForm.Get("name")
	setTarget(r, name, "")
	if c.o.AwaitSecret == nil {
		c.actionFailed(w, r, engine.ErrNotFound)
		return
	}
	if _, err := c.o.AwaitSecret(name); err != nil {
		c.actionFailed(w, r, err)
		return
	}
	redirectDone(w, r, "/trigger?name="+url.QueryEscape(name), "awaiting")
}
