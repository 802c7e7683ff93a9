package console

import (
	"context"
	"net/http"
)

// MCPPath is the path of the Model Context Protocol.
const MCPPath = "/mcp"

// maxToolCall is the maximum size of a request in bytes; it may contain workflow files.
const maxToolCall = 4 << 20

// remoteHeader passes the address of a request to the protocol's handler, which receives only
// headers. A value sent by a caller is overwritten.
const remoteHeader = "X-Hookloom-Remote"

// agentPages serves the protocol. Requests for a stream of server messages get 405, as the protocol
// permits: no tool sends any (modelcontextprotocol.io, Transports, "Listening for Messages from the
// Server").
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

// agentProblem returns why a caller may not use the protocol; empty if it may. Tools that act check
// the role again, with the token of the call.
func agentProblem(by caller) string {
	if by.byHeader {
		return ""
	}
	return "agents need a token: send Authorization: Bearer TOKEN, with the token of server.token, server.view_token or server.tokens"
}

// RoleOf returns the role of the caller of a request that the console admitted; it is empty for
// other requests.
func RoleOf(ctx context.Context) Role {
	by, _ := ctx.Value(callerKey{}).(caller)
	return by.Role
}

// OnBehalf returns the API for a tool that acts for a caller. header is that of the request that
// called the tool: its token determines the permissions, and its address is recorded in the audit
// log.
func (c *Console) OnBehalf(header http.Header) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := &http.Request{Header: header, RemoteAddr: header.Get(remoteHeader), URL: r.URL}
		by, wait := c.who(asked)
		r.RemoteAddr = asked.RemoteAddr
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
			c.routes.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, by)))
		}
	})
}
