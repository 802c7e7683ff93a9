package console

import (
	"context"
	"errors"
	"net/http"

	"github.com/hookloom/hookloom/engine"
)

// Connections shows, tests and connects the project's connections.
type Connections interface {
	ConnectionItems(ctx context.Context) ([]engine.ConnectionItem, error)
	// TestConnection makes a harmless call, and returns what was tried.
	TestConnection(ctx context.Context, name string) (string, error)
	// BeginConnect starts to connect; redirect is the URL to which the service redirects the
	// browser.
	BeginConnect(ctx context.Context, name, redirect string) (engine.ConnectStart, error)
	FinishConnect(ctx context.Context, state, code string) (engine.ConnectEnd, error)
}

// CallbackPath is the console's redirect URI for connections: the service redirects the browser
// there with a code. The unguessable state in its query authenticates the request.
const CallbackPath = "/connections/callback"

// The bodies of requests, and the result of a test.
type (
	beginConnectOrder struct {
		Redirect string `json:"redirect,omitempty"`
	}
	finishConnectOrder struct {
		State string `json:"state"`
		Code  string `json:"code,omitempty"`
	}
	testAnswer struct {
		Status string `json:"status"`
		Detail string `json:"detail"`
	}
)

func (c *Console) connectionsAPI(get getRoute, post postRoute) []route {
	return []route{
		get("connections", "listConnections", "Connections: kind, account, scopes, expiry, last use, last error.", nil,
			engine.Page[engine.ConnectionItem]{}, c.listConnections),
		post("connections/{name}/test", "testConnection", "Makes a harmless call over a connection.", "connection.test", 200, nil,
			testAnswer{}, c.testConnection),
		post("connections/{name}/connect", "beginConnect", "Starts the sign-in of a connection, or fetches its token.", "connection.connect",
			200, beginConnectOrder{}, engine.ConnectStart{}, c.beginConnect),
		post("connections/{name}/finish", "finishConnect", "Completes a sign-in that was started.", "connection.connected", 200,
			finishConnectOrder{}, engine.ConnectEnd{}, c.finishConnect),
	}
}

func (c *Console) listConnections(w http.ResponseWriter, r *http.Request) {
	items, err := c.o.Connections.ConnectionItems(r.Context())
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, engine.Page[engine.ConnectionItem]{Items: items})
}

func (c *Console) testConnection(w http.ResponseWriter, r *http.Request) {
	detail, err := c.o.Connections.TestConnection(r.Context(), r.PathValue("name"))
	if err != nil {
		problem(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	reply(w, http.StatusOK, testAnswer{Status: "ok", Detail: detail})
}

func (c *Console) beginConnect(w http.ResponseWriter, r *http.Request) {
	var o beginConnectOrder
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if o.Redirect == "" {
		if base := c.o.Project().Server.AdminURL; base != "" {
			o.Redirect = base + CallbackPath
		}
	}
	start, err := c.o.Connections.BeginConnect(r.Context(), r.PathValue("name"), o.Redirect)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		problem(w, http.StatusNotFound, "no connection is named "+r.PathValue("name"))
	case err != nil:
		problem(w, http.StatusUnprocessableEntity, err.Error())
	default:
		reply(w, http.StatusOK, start)
	}
}

func (c *Console) finishConnect(w http.ResponseWriter, r *http.Request) {
	var o finishConnectOrder
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	end, err := c.o.Connections.FinishConnect(r.Context(), o.State, o.Code)
	if err != nil {
		problem(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	reply(w, http.StatusOK, end)
}

// callback completes a connect in the browser that the service redirected here. It requires no
// login: the browser comes from another site, so it does not send the session's cookie.
func (c *Console) callback(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	q := r.URL.Query()
	if q.Get("error") != "" || q.Get("state") == "" || q.Get("code") == "" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("The service did not connect: run hookloom connect again.\n"))
		return
	}
	end, err := c.o.Connections.FinishConnect(r.Context(), q.Get("state"), q.Get("code"))
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(err.Error() + "\n"))
		return
	}
	c.audit(r, caller{Name: "callback"}, "connection.connected", end.Connection, "", http.StatusOK)
	_, _ = w.Write([]byte("Connection " + end.Connection + " is connected. This page can be closed.\n"))
}
