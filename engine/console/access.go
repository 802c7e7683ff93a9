package console

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// Role is what a caller may do: view, or also act.
type Role string

// The roles. A caller without one is asked to log in.
const (
	View    Role = "view"
	Operate Role = "operate"
)

// caller is who makes a request.
type caller struct {
	// Name is the name that the caller gives; with a shared token it is unverified.
	Name string
	Role Role
	// proved reports whether the token proves the name.
	proved bool
	// session is empty for a request with a token in its header, and on loopback without tokens;
	// until is when the session ends.
	session string
	until   time.Time
	// byHeader reports whether the request itself carries its token, which no other site can make a
	// browser send.
	byHeader bool
}

func (c caller) operates() bool { return c.Role == Operate }

// proof describes how the caller was authenticated, for the audit log.
func (c caller) proof() string {
	switch {
	case c.session != "":
		return "session"
	case c.byHeader:
		return "token"
	}
	return "none"
}

// roleOf returns the role of a token, empty if it is wrong, and its owner if it is a personal one.
// It takes the same time for all wrong tokens.
func (c *Console) roleOf(token string) (role Role, whose string) {
	got := sha256.Sum256([]byte(token))
	tokens := c.tokens()
	for name, want := range tokens.Named {
		sum := sha256.Sum256([]byte(want))
		if subtle.ConstantTimeCompare(got[:], sum[:]) == 1 && want != "" {
			role, whose = Operate, name
		}
	}
	for r, want := range map[Role]string{View: tokens.View, Operate: tokens.Operate} {
		sum := sha256.Sum256([]byte(want))
		if subtle.ConstantTimeCompare(got[:], sum[:]) == 1 && want != "" && role != Operate {
			role = r
		}
	}
	return role, whose
}

// secured reports whether the browser uses HTTPS to this server or to a proxy in front of it.
func secured(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// who identifies the caller. If wait is not zero, the address must wait before another of its
// tokens is checked.
func (c *Console) who(r *http.Request) (by caller, wait time.Duration) {
	tokens := c.tokens()
	if tokens.none() {
		return caller{Name: "local", Role: Operate}, 0
	}
	token, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	name := "api"
	if user, password, ok := r.BasicAuth(); ok {
		token, given = password, true
		if user != "" {
			name = user
		}
	}
	if given {
		by, wait := c.try(r, token)
		by.Name, by.byHeader = cmp.Or(by.Name, name), true
		return by, wait
	}
	for _, n := range []string{secureCookie, cookieName} {
		if k, err := r.Cookie(n); err == nil {
			if x, ok := c.sessions.get(k.Value, tokens, time.Now()); ok {
				return c.unlessEnded(r, x), 0
			}
		}
	}
	return caller{}, 0
}

// unlessEnded returns the caller of a session, or nobody if the session was ended at another node.
func (c *Console) unlessEnded(r *http.Request, by caller) caller {
	if err := c.sessions.refresh(r.Context(), time.Now()); err != nil {
		c.o.Logger.Warn("sessions that were ended at other nodes are not known; they are read again", "error", err)
	}
	if c.sessions.isEnded(by.session) {
		return caller{}
	}
	return by
}

// try checks a token, and names its owner if it is a personal one. After wrong tokens an address
// must wait.
func (c *Console) try(r *http.Request, token string) (caller, time.Duration) {
	now, ip := time.Now(), c.address(r)
	if wait := c.guesses.wait(ip, now); wait > 0 {
		return caller{}, wait
	}
	role, whose := c.roleOf(token)
	if role != "" {
		c.guesses.forget(ip)
		return caller{Name: whose, Role: role, proved: whose != ""}, 0
	}
	if c.guesses.wrong(ip, now) {
		// This is logged and not added to the audit log: that is limited in size, and a caller
		// without a token must not be able to evict the entries of others.
		c.o.Logger.Warn("a wrong token was given", "remote", ip.String(), "path", r.URL.Path)
	}
	return caller{}, 0
}

// address returns the caller's address, as reported by a trusted proxy if there is one.
func (c *Console) address(r *http.Request) netip.Addr {
	if c.o.Address != nil {
		return c.o.Address(r)
	}
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// csrf returns the CSRF token for the forms and scripts of our own pages.
func (c *Console) csrf(by caller) string { return c.sessions.csrf(by) }

type callerKey struct{}

func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

// guard admits callers by role. Without tokens, which is allowed on loopback only, the request must
// name a loopback host: with DNS rebinding, the page of another site sends its own host name.
func (c *Console) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.tokens().none() && !loopbackHost(r.Host) {
			problem(w, http.StatusForbidden, "this host name is not served here")
			return
		}
		if !c.private(r) {
			problem(w, http.StatusForbidden,
				"this address accepts plain http only from the proxies in server.trusted_proxies; set server.admin_tls for https")
			return
		}
		by, wait := c.who(r)
		api := strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/metrics" || r.URL.Path == MCPPath
		if wait > 0 {
			tooMany(w, wait)
			return
		}
		if by.Role == "" {
			c.turnAway(w, r, api)
			return
		}
		if r.URL.Path == MCPPath {
			if why := agentProblem(by); why != "" {
				problem(w, http.StatusForbidden, why)
				return
			}
		} else if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if !by.operates() && r.URL.Path != "/logout" {
				if c.denied.Allow() {
					c.audit(r, by, "refused", r.Method+" "+r.URL.Path, "needs the role operate", http.StatusForbidden)
				}
				c.refuse(w, r, api, http.StatusForbidden, "this needs the role operate; you have read-only access")
				return
			}
			if !c.sameOrigin(w, r, by, api) {
				c.refuse(w, r, api, http.StatusForbidden, crossOriginError(api))
				return
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, by)))
	})
}

// sameOrigin reports whether a request that changes something comes from our own pages, from a caller
// with a personal token in a header, or from a client that is not a browser.
func (c *Console) sameOrigin(w http.ResponseWriter, r *http.Request, by caller, api bool) bool {
	want := c.csrf(by)
	if api {
		// Without tokens the caller is not authenticated. A request caused by a step's URL or by
		// another site's page does not have our header.
		return by.byHeader || by.session == "" && r.Header.Get(ClientHeader) != "" || want != "" &&
			hmac.Equal([]byte(r.Header.Get("X-CSRF-Token")), []byte(want))
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<20)
	return r.ParseForm() == nil && want != "" && hmac.Equal([]byte(r.PostForm.Get("csrf")), []byte(want))
}

// AgentHeader names the agent that acts for the caller, for the audit log. It is not authenticated.
const AgentHeader = "X-Hookloom-Agent"

// ClientHeader must be sent, with any value, by API callers if the server has no tokens. It shows
// that the request is intended.
const ClientHeader = "X-Hookloom"

func crossOriginError(api bool) string {
	if api {
		return "this call changes something and needs proof: send a token (Authorization: Bearer ...) or, " +
			"if the server has none, the header " + ClientHeader + ": 1"
	}
	return "this form has expired or came from another site: reload the page"
}

// private reports whether the request cannot be read in transit: loopback, HTTPS, or a trusted
// proxy.
func (c *Console) private(r *http.Request) bool {
	if c.o.Loopback || r.TLS != nil {
		return true
	}
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip := ap.Addr().Unmap()
	return ip.IsLoopback() || slices.ContainsFunc(c.o.Project().Server.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func tooMany(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
	problem(w, http.StatusTooManyRequests, "too many wrong tokens from this address; wait, then try again")
}

// turnAway asks for a login.
func (c *Console) turnAway(w http.ResponseWriter, r *http.Request, api bool) {
	switch {
	case r.URL.Path == "/login", strings.HasPrefix(r.URL.Path, "/static/"):
		c.open.ServeHTTP(w, r)
	case api || r.Method != http.MethodGet || !strings.Contains(r.Header.Get("Accept"), "text/html"):
		w.Header().Set("WWW-Authenticate", `Bearer realm="hookloom"`)
		text := "this call needs a token"
		if r.Header.Get("Authorization") != "" {
			text = "the token is unknown"
		}
		problem(w, http.StatusUnauthorized, text)
	default:
		http.Redirect(w, r, "/login?to="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	}
}

func (c *Console) refuse(w http.ResponseWriter, r *http.Request, api bool, status int, text string) {
	c.o.Logger.Warn("an action was refused", "path", r.URL.Path, "status", status, "reason", text)
	if api {
		problem(w, status, text)
		return
	}
	c.errorPage(w, r, status, text)
}

func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// loginPage shows the form; login exchanges a token for a session.
func (c *Console) loginPage(w http.ResponseWriter, r *http.Request) {
	c.render(w, r, http.StatusOK, "login", map[string]any{"Title": "Log in", "To": backTo(r.URL.Query().Get("to"))})
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		c.errorPage(w, r, http.StatusBadRequest, "the form cannot be read")
		return
	}
	name := strings.TrimSpace(r.PostForm.Get("name"))
	if len(name) > 100 {
		name = name[:100]
	}
	token := r.PostForm.Get("token")
	by, wait := c.try(r, token)
	by.Name = cmp.Or(by.Name, name)
	to := backTo(r.PostForm.Get("to"))
	if wait > 0 {
		tooMany(w, wait)
		return
	}
	if by.Role == "" {
		c.render(w, r, http.StatusUnauthorized, "login", map[string]any{"Title": "Log in", "To": to, "Wrong": true})
		return
	}
	value, err := c.sessions.begin(by, token, time.Now())
	if err != nil {
		c.fail(w, err)
		return
	}
	k := &http.Cookie{Name: cookieName, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		MaxAge: int(sessionTime.Seconds())}
	if secured(r) {
		k.Name, k.Secure = secureCookie, true
	}
	http.SetCookie(w, k)
	by.session = "new"
	c.audit(r, by, "login", "", "role="+string(by.Role), http.StatusSeeOther)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	if err := c.sessions.end(r.Context(), callerOf(r)); err != nil {
		c.o.Logger.Error("an ended session was not stored for the next start", "error", err)
	}
	for _, n := range []string{cookieName, secureCookie} {
		http.SetCookie(w, &http.Cookie{Name: n, Path: "/", MaxAge: -1, HttpOnly: true, Secure: n == secureCookie,
			SameSite: http.SameSiteStrictMode})
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// backTo keeps a redirect within the console.
func backTo(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsAny(path, "\\\r\n") {
		return "/"
	}
	return path
}

// audit records what a caller did. It is called after the action: if the action could not be
// stored, it responds with an error and records that.
func (c *Console) audit(r *http.Request, by caller, action, target, detail string, status int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	remote := r.RemoteAddr
	if ip := c.address(r); ip.IsValid() {
		remote = ip.String()
	}
	if agent := r.Header.Get(AgentHeader); agent != "" {
		detail = clip(strings.TrimSpace(auditDetail("agent", clip(agent, 100))+" "+detail), maxDetail)
	}
	a := engine.AuditEntry{At: time.Now().UTC(), Who: by.Name, Role: string(by.Role), Proof: by.proof(), Remote: remote, Action: action,
		Target: target, Detail: detail, Status: status}
	if err := c.o.Operator.Audit(ctx, a); err != nil {
		c.o.Logger.Error("an action is missing in the audit log", "action", action, "target", target, "error", err)
	}
}

// acting wraps a handler whose calls are recorded in the audit log. The target is the one set with
// aimAt, or else the id in the path.
func (c *Console) acting(action string, do http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		target := r.PathValue("id") + r.PathValue("name")
		aimed := &auditTarget{target: target, by: callerOf(r)}
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		do(seen, r.WithContext(context.WithValue(r.Context(), aimKey{}, aimed)))
		c.audit(r, aimed.by, action, aimed.target, aimed.detail, seen.status)
	}
}

// auditTarget is the target of an action and the name of its author, as far as only the handler knows them.
type auditTarget struct {
	target, detail string
	by             caller
}

type aimKey struct{}

// setTarget sets the target of an action, and a name given in the request.
func setTarget(r *http.Request, target, by string) {
	a, ok := r.Context().Value(aimKey{}).(*auditTarget)
	if !ok {
		return
	}
	if target != "" {
		a.target = target
	}
	if by != "" && a.by.session == "" {
		a.by.Name = by
	}
}

// maxDetail is the maximum size of the details in an audit entry.
const maxDetail = 2000

// note records the parameters of an action: alternating names and values; empty values are omitted.
// Inputs must not be recorded, since they may be secret.
func note(r *http.Request, pairs ...string) {
	a, ok := r.Context().Value(aimKey{}).(*auditTarget)
	if !ok {
		return
	}
	a.detail = clip(strings.TrimSpace(a.detail+" "+auditDetail(pairs...)), maxDetail)
}

func auditDetail(pairs ...string) string {
	var out []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if v := pairs[i+1]; v != "" {
			if strings.ContainsAny(v, " =\"\n") {
				v = strconv.Quote(v)
			}
			out = append(out, pairs[i]+"="+v)
		}
	}
	return strings.Join(out, " ")
}

// statusWriter records the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap supports http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
