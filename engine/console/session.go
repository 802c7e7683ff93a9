package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
)

// SessionLog records the sessions that were ended early. The store implements it.
type SessionLog interface {
	EndSession(ctx context.Context, id string, until time.Time) error
	EndedSessions(ctx context.Context) (map[string]time.Time, error)
}

// session is a login, stored in its signed cookie: the server stores nothing, and it survives a
// restart.
type session struct {
	ID    string `json:"i"`
	Name  string `json:"n"`
	Role  Role   `json:"r"`
	Until int64  `json:"u"` // Unix seconds
	// Token is a digest of the token with which it was opened: the session ends with the token.
	Token string `json:"t"`
	// Proved reports whether the token is a personal one.
	Proved bool `json:"p,omitempty"`
}

const (
	sessionTime = 12 * time.Hour
	cookieName  = "hookloom"
	// secureCookie is for HTTPS: the prefix prevents other hosts of the domain from setting it (RFC
	// 6265bis, 4.1.3.2).
	secureCookie = "__Host-hookloom"
)

// sessions creates and verifies sessions.
type sessions struct {
	// key signs; it is read on first use.
	key func() ([]byte, error)
	log SessionLog

	mu    sync.Mutex
	ended map[string]time.Time // until when they would have lasted; guarded by mu
	// read is when the log was last read; guarded by mu.
	read time.Time
}

// readEvery is how often the ended sessions are read again while requests arrive: another node of the
// database may have ended one.
const readEvery = 500 * time.Millisecond

// newSessions loads the ended sessions. Without a key it creates one that lasts as long as the
// process.
func newSessions(o Options) (*sessions, error) {
	s := &sessions{key: o.SessionKey, log: o.Sessions, ended: map[string]time.Time{}}
	if s.key == nil {
		var random [32]byte
		_, _ = rand.Read(random[:]) // never fails (crypto/rand)
		s.key = func() ([]byte, error) { return random[:], nil }
	}
	if s.log != nil {
		ended, err := s.log.EndedSessions(context.Background())
		if err != nil {
			return nil, fmt.Errorf("reading the ended sessions: %w", err)
		}
		maps.Copy(s.ended, ended)
		s.read = time.Now()
	}
	return s, nil
}

// isEnded reports whether a session was ended early.
func (s *sessions) isEnded(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ended := s.ended[id]
	return ended
}

// refresh reads the ended sessions again if that was a while ago. An error is returned once per interval:
// until the next one those known are used, since pages need the database too.
func (s *sessions) refresh(ctx context.Context, now time.Time) error {
	if s.log == nil {
		return nil
	}
	s.mu.Lock()
	due := now.Sub(s.read) >= readEvery
	if due {
		s.read = now // other requests do not wait for this one
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	// A client that gives up does not end it: otherwise it could keep a node from reading that its session ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readEvery)
	defer cancel()
	ended, err := s.log.EndedSessions(ctx)
	if err != nil {
		return fmt.Errorf("reading the ended sessions: %w", err)
	}
	s.mu.Lock()
	maps.Copy(s.ended, ended)
	s.mu.Unlock()
	return nil
}

func (s *sessions) mac(parts ...string) ([]byte, error) {
	key, err := s.key()
	if err != nil {
		return nil, err
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte(strings.Join(parts, "\x00")))
	return m.Sum(nil), nil
}

// begin creates a session and returns the cookie's value.
func (s *sessions) begin(by caller, token string, now time.Time) (string, error) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	mark, err := s.mark(token)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(session{ID: hex.EncodeToString(id[:]), Name: by.Name, Role: by.Role, Until: now.Add(sessionTime).Unix(),
		Token: mark, Proved: by.proved})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(b)
	mac, err := s.mac("session", text)
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(mac), nil
}

// mark returns a digest that shows whether a session's token is still valid, without disclosing it.
func (s *sessions) mark(token string) (string, error) {
	m, err := s.mac("token", token)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(m[:8]), nil
}

// get verifies a cookie. The session must have been opened with one of the current tokens.
func (s *sessions) get(value string, tokens Tokens, now time.Time) (caller, bool) {
	text, given, _ := strings.Cut(value, ".")
	mac, err := base64.RawURLEncoding.Strict().DecodeString(given)
	if err != nil {
		return caller{}, false
	}
	want, err := s.mac("session", text)
	if err != nil || !hmac.Equal(mac, want) {
		return caller{}, false
	}
	var x session
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(b, &x) != nil || now.Unix() >= x.Until {
		return caller{}, false
	}
	token := tokens.View
	if x.Role == Operate {
		token = tokens.Operate
	}
	if x.Proved {
		token = tokens.Named[x.Name]
	}
	mark, err := s.mark(token)
	if err != nil || token == "" || mark != x.Token {
		return caller{}, false // the token was changed
	}
	return caller{Name: x.Name, Role: x.Role, proved: x.Proved, session: x.ID, until: time.Unix(x.Until, 0)}, !s.isEnded(x.ID)
}

// end ends a session early, for later processes too.
func (s *sessions) end(ctx context.Context, by caller) error {
	if by.session == "" {
		return nil
	}
	now := time.Now()
	s.mu.Lock()
	for id, until := range s.ended {
		if now.After(until) {
			delete(s.ended, id)
		}
	}
	s.ended[by.session] = by.until
	s.mu.Unlock()
	if s.log == nil {
		return nil
	}
	return s.log.EndSession(ctx, by.session, by.until)
}

// csrf returns the token that forms and scripts of our own pages send: a page of another site
// cannot know it. It is empty if there is no key.
func (s *sessions) csrf(by caller) string {
	m, err := s.mac("csrf", by.session)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(m[:16])
}
