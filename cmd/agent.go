package cmd

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
)

// agent is the agent that calls a tool of hookloom mcp.
type agent struct {
	// name is the name that the agent's client gives; it is not authenticated.
	name string
	// authorization is the agent's Authorization header; empty on standard input, where the
	// command's own token is used.
	authorization string
	// api handles calls within the server's process; nil if they go over the network.
	api http.Handler
}

type agentKey struct{}

func withAgent(ctx context.Context, x *agent) context.Context {
	return context.WithValue(ctx, agentKey{}, x)
}

// agentOf returns nil for a command that a person runs.
func agentOf(ctx context.Context) *agent {
	x, _ := ctx.Value(agentKey{}).(*agent)
	return x
}

// callerName returns the name under which an action is recorded.
func callerName(ctx context.Context) string {
	if x := agentOf(ctx); x != nil {
		return x.name
	}
	return os.Getenv("USER")
}

// maxInProcess is the maximum size of an API response within the process, in bytes.
const maxInProcess = 16 << 20

// inProcess sends requests to a handler in the same process.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &bufferedAnswer{header: http.Header{}, status: http.StatusOK}
	t.handler.ServeHTTP(w, r)
	if w.tooLarge {
		return nil, errors.New("the response is larger than 16 MiB")
	}
	return &http.Response{StatusCode: w.status, Header: w.header, Body: &w.body, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(w.body.Len())}, nil
}

// bufferedAnswer keeps a response in memory.
type bufferedAnswer struct {
	header   http.Header
	status   int
	body     answerBody
	tooLarge bool
}

type answerBody struct{ bytes.Buffer }

// Close implements io.Closer.
func (*answerBody) Close() error { return nil }

// Header implements http.ResponseWriter.
func (w *bufferedAnswer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *bufferedAnswer) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *bufferedAnswer) Write(b []byte) (int, error) {
	if w.body.Len()+len(b) > maxInProcess {
		w.tooLarge = true
		return 0, errors.New("the response is too large")
	}
	return w.body.Write(b)
}
