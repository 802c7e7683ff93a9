package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// Role is what a caller may do: look, or act too.
type Role string

// The roles. A caller without one is asked to log in.
const (
	View    Role = "view"
	Operate Role = "operate"
)

// caller is who makes a request.
type caller struct {
	// Name is what the caller says; with a shared token it is a word, not a proof.
	Name string
	Role Role
	// session is empty for a token in the request's own header, and on loopback
	// without tokens.
	session string
	// byHeader tells that the request carries its token itself, which no other site
	// can make a browser do.
	byHeader bool
}

func (c caller) operates() bool { return c.Role == Operate }

// session is one login. It lives in memory: a restart asks for the token again.
type session struct {
	caller
	ends time.Time
}

const (
	sessionTime = 12 * time.Hour
	maxSessions = 1000
	cookieName  = "hookloom"
	// secureCookie is for https: the prefix keeps other hosts of the domain from
	// setting it (RFC 6265bis, 4.1.3.2).
	secureCookie = "__Host-hookloom"
)

// sessions are the logins.
type sessions struct {
	mu   sync.Mutex
	byID map[[32]byte]session
}

// begin makes a session and gives the cookie's value.
func (s *sessions) begin(c caller, now time.Time) string {
	var id [32]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	value := hex.EncodeToString(id[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, x := range s.byID {
		if now.After(x.ends) || len(s.byID) >= maxSessions {
			delete(s.byID, k)
		}
	}
	c.session = value
	s.byID[sha256.Sum256([]byte(value))] = session{c, now.Add(sessionTime)}
	return value
}

func (s *sessions) get(value string, now time.Time) (caller, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.byID[sha256.Sum256([]byte(value))]
	return x.caller, ok && now.Before(x.ends)
}

func (s *sessions) end(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, sha256.Sum256([]byte(value)))
}

// roleOf tells what a token allows; empty for nothing. It takes the same time for
// all wrong ones.
func (c *Console) roleOf(token string) Role {
	got := sha256.Sum256([]byte(token))
	role := Role("")
	for r, want := range map[Role]string{View: c.o.ViewToken, Operate: c.o.Token} {
		sum := sha256.Sum256([]byte(want))
		if subtle.ConstantTimeCompare(got[:], sum[:]) == 1 && want != "" && role != Operate {
			role = r
		}
	}
	return role
}

// secured tells that the browser speaks https to us or to a proxy before us.
func secured(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// who finds out who calls.
func (c *Console) who(r *http.Request) caller {
	if c.o.Token == "" && c.o.ViewToken == "" {
		return caller{Name: "local", Role: Operate}
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
		return caller{Name: name, Role: c.roleOf(token), byHeader: true}
	}
	for _, n := range []string{secureCookie, cookieName} {
		if k, err := r.Cookie(n); err == nil {
			if x, ok := c.sessions.get(k.Value, time.Now()); ok {
				return x
			}
		}
	}
	return caller{}
}

// csrf is the token that forms and scripts of our own pages send along: a page of
// another site cannot know it.
func (c *Console) csrf(by caller) string {
	m := hmac.New(sha256.New, c.key[:])
	m.Write([]byte(by.session))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

type callerKey struct{}

func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

// guard lets callers in by their role. Without tokens, which only loopback may do
// without, those who name a loopback host: a page of another site that points its
// own name here (DNS rebinding) sends that name.
func (c *Console) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.o.Token == "" && c.o.ViewToken == "" && !loopbackHost(r.Host) {
			problem(w, http.StatusForbidden, "this host name is not served here")
			return
		}
		by := c.who(r)
		api := strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/metrics"
		if by.Role == "" {
			c.turnAway(w, r, api)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if !by.operates() && r.URL.Path != "/logout" {
				c.refuse(w, r, api, http.StatusForbidden, "this needs the role operate; you may look only")
				return
			}
			if !c.genuine(w, r, by, api) {
				c.refuse(w, r, api, http.StatusForbidden, "this form is not one of ours, or too old: load the page again")
				return
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, by)))
	})
}

// genuine tells that a request that acts comes from our own pages, from a caller
// with a token of its own, or from no browser.
func (c *Console) genuine(w http.ResponseWriter, r *http.Request, by caller, api bool) bool {
	want := c.csrf(by)
	if api {
		return by.byHeader || by.session == "" || hmac.Equal([]byte(r.Header.Get("X-CSRF-Token")), []byte(want))
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<20)
	return r.ParseForm() == nil && hmac.Equal([]byte(r.PostForm.Get("csrf")), []byte(want))
}

// turnAway asks for a login.
func (c *Console) turnAway(w http.ResponseWriter, r *http.Request, api bool) {
	switch {
	case r.URL.Path == "/login", strings.HasPrefix(r.URL.Path, "/static/"):
		c.open.ServeHTTP(w, r)
	case api || r.Method != http.MethodGet || !strings.Contains(r.Header.Get("Accept"), "text/html"):
		w.Header().Set("WWW-Authenticate", `Bearer realm="hookloom"`)
		problem(w, http.StatusUnauthorized, "a token is needed")
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
	c.sorry(w, r, status, text)
}

func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// loginPage shows the form; login takes a token for a session.
func (c *Console) loginPage(w http.ResponseWriter, r *http.Request) {
	c.render(w, r, http.StatusOK, "login", map[string]any{"Title": "Log in", "To": backTo(r.URL.Query().Get("to"))})
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		c.sorry(w, r, http.StatusBadRequest, "the form cannot be read")
		return
	}
	name := strings.TrimSpace(r.PostForm.Get("name"))
	if len(name) > 100 {
		name = name[:100]
	}
	by := caller{Name: name, Role: c.roleOf(r.PostForm.Get("token"))}
	to := backTo(r.PostForm.Get("to"))
	if by.Role == "" {
		// A guess costs its time; nothing else is held up by it.
		select {
		case <-time.After(500 * time.Millisecond):
		case <-r.Context().Done():
		}
		// It goes to the log, not to the audit log: that is bounded, and who has no token
		// must not be able to push out of it what others did.
		c.o.Logger.Warn("a login was refused", "name", name, "remote", r.RemoteAddr)
		c.render(w, r, http.StatusUnauthorized, "login", map[string]any{"Title": "Log in", "To": to, "Wrong": true})
		return
	}
	k := &http.Cookie{Name: cookieName, Value: c.sessions.begin(by, time.Now()), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: int(sessionTime.Seconds())}
	if secured(r) {
		k.Name, k.Secure = secureCookie, true
	}
	http.SetCookie(w, k)
	c.audit(r, by, "login", "", http.StatusSeeOther)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	c.sessions.end(callerOf(r).session)
	for _, n := range []string{cookieName, secureCookie} {
		http.SetCookie(w, &http.Cookie{Name: n, Path: "/", MaxAge: -1, HttpOnly: true, Secure: n == secureCookie, SameSite: http.SameSiteStrictMode})
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// backTo keeps a redirect inside of the console.
func backTo(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n") {
		return "/"
	}
	return path
}

// audit keeps what a caller did. It is kept after the action: an action that could
// not be stored answers with an error and is noted as such.
func (c *Console) audit(r *http.Request, by caller, action, target string, status int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		remote = r.RemoteAddr
	}
	a := engine.AuditEntry{At: time.Now().UTC(), Who: by.Name, Role: string(by.Role), Remote: remote, Action: action, Target: target, Status: status}
	if err := c.o.Operator.Audit(ctx, a); err != nil {
		c.o.Logger.Error("an action is missing in the audit log", "action", action, "target", target, "error", err)
	}
}

// acting makes a handler that is in the audit log. The target is what the handler
// names by aim, else the path's id.
func (c *Console) acting(action string, do http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		target := r.PathValue("id") + r.PathValue("name")
		aimed := &aim{target: target, by: callerOf(r)}
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		do(seen, r.WithContext(context.WithValue(r.Context(), aimKey{}, aimed)))
		c.audit(r, aimed.by, action, aimed.target, seen.status)
	}
}

// aim is what an action is about, and who says so, as far as only the handler knows.
type aim struct {
	target string
	by     caller
}

type aimKey struct{}

// aimAt notes the target of an action, and a name that the order itself gives.
func aimAt(r *http.Request, target, by string) {
	a, ok := r.Context().Value(aimKey{}).(*aim)
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

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController through.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
