package console

import (
	"context"
	"net/http"
)

// MCPPath is where agents reach the Model Context Protocol.
const MCPPath = "/mcp"

// maxToolCall bounds a request of the protocol, in bytes; the texts of workflows are in it.
const maxToolCall = 4 << 20

// remoteHeader carries the address of a request to the handler of the protocol, which passes
// only headers on. What a caller sends in it is overwritten.
const remoteHeader = "X-Hookloom-Remote"

// agentPages serves the protocol. Streams that wait for messages of the server are refused
// with 405, as the protocol permits: no tool sends any
// (modelcontextprotocol.io, Transports, "Listening for Messages from the Server").
func (c *Console) agentPages(mux *http.ServeMux) {
	if c.o.MCP == nil {
		return
	}
	serve := func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.Header.Set(remoteHeader, r.RemoteAddr)
		r.Body = http.MaxBytesReader(w, r.Body, maxToolCall)
		c.o.MCP.ServeHTTP(w, r)
	}
	mux.HandleFunc("POST "+MCPPath, serve)
	mux.HandleFunc("DELETE "+MCPPath, serve)
	mux.HandleFunc("GET "+MCPPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "POST, DELETE")
		problem(w, http.StatusMethodNotAllowed, "this server does not send unsolicited messages; call tools with POST")
	})
}

// agentProblem says why a caller may not use the protocol; empty when he may. Tools that act
// check the role again, with the token of the call.
func agentProblem(by caller) string {
	if by.byHeader {
		return ""
	}
	return "agents need a token: send Authorization: Bearer TOKEN, with the token of server.token, server.view_token or server.tokens"
}

// RoleOf is the role of the caller of a request that the console has let in; it is empty for
// another one.
func RoleOf(ctx context.Context) Role {
	by, _ := ctx.Value(callerKey{}).(caller)
	return by.Role
}

// OnBehalf is the API for a tool that acts for a caller. header is that of the request which
// called the tool: its token decides what is allowed, and its address is in the audit log.
func (c *Console) OnBehalf(header http.Header) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := &http.Request{Header: header, RemoteAddr: header.Get(remoteHeader)}
		by, wait := c.who(asked)
		switch {
		case wait > 0:
			tooMany(w, wait)
		case by.Role == "" || !by.byHeader:
			problem(w, http.StatusUnauthorized, "the token is unknown")
		case !by.operates() && r.Method != http.MethodGet:
			if c.denied.Allow() {
				c.audit(r, by, "refused", r.Method+" "+r.URL.Path, "needs the role operate", http.StatusForbidden)
			}
			problem(w, http.StatusForbidden, "this needs the role operate; you have read-only access")
		default:
			r.RemoteAddr = asked.RemoteAddr
			c.routes.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, by)))
		}
	})
}
