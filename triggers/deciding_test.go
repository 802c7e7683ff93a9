package triggers_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

func TestEventPreviewNeedsAWebhookAndAJSONBody(t *testing.T) {
	p := load(t, "triggers:\n  t: {webhook: {auth: none, key: body.id}}\n  s: {schedule: {every: 1h}}\n")
	now := time.Now()
	if d, err := triggers.ParseUnverified(p, "t", map[string]any{"id": "k-1"}, nil, now); err != nil || d.Key != "k-1" {
		t.Errorf("%+v %v", d, err)
	}
	for _, name := range []string{"s", "unknown"} {
		_, err := triggers.ParseUnverified(p, name, map[string]any{}, nil, now)
		if err == nil || !strings.Contains(err.Error(), "no webhook inlet") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d, err := triggers.ParseUnverified(p, "t", map[string]any{"id": func() {}}, nil, now); err == nil || d != nil {
		t.Errorf("a body that is not JSON makes %+v", d)
	}
}

// TestSynchronousResponseWithoutARunIs202: the event is stored, so the sender must not
// send it again.
func TestSynchronousResponseWithoutARunIs202(t *testing.T) {
	run := &engine.AwaitResult{Run: &engine.Run{ID: 7, Status: engine.Running}}
	for _, x := range []struct {
		name  string
		ended *engine.AwaitResult
		err   error
	}{
		{"no answer in time", nil, context.DeadlineExceeded},
		{"the store fails", nil, errors.New("disk full")},
		{"the store fails while a run goes on", run, errors.New("disk full")},
	} {
		m := &memory{events: map[string]engine.EventID{}, await: func(context.Context, engine.EventID) (*engine.AwaitResult, error) {
			return x.ended, x.err
		}}
		p := load(t, "triggers:\n  t: {webhook: {auth: none, respond: sync}}\n")
		w := post(hooks(t, p, m), "POST", "/hooks/t", jsonHeader, []byte(`{"a":1}`))
		if got := strings.TrimSpace(w.Body.String()); w.Code != 202 || got != `{"status":"accepted","event":"evt_0000000000000001"}` {
			t.Errorf("%s: %d %s", x.name, w.Code, got)
		}
	}
}

// TestLongestAllowedChallengeIsAnswered, and no longer one.
func TestLongestAllowedChallengeIsAnswered(t *testing.T) {
	for n, want := range map[int]int{4096: 200, 4097: 400} {
		h, _, header := handshakeHooks(t, "dropbox", "", "", false, nil)
		challenge := strings.Repeat("c", n)
		w := post(h, "GET", "/hooks/hook?challenge="+url.QueryEscape(challenge), header, nil)
		if w.Code != want || (w.Body.String() == challenge) != (want == 200) {
			t.Errorf("%d bytes: %d %.80s", n, w.Code, w.Body)
		}
	}
}

// TestVerifyNamesTheMatchingSecret, the first of a list as well as a later one.
func TestVerifyNamesTheMatchingSecret(t *testing.T) {
	p := load(t, eachPreset)
	for secret, config := range map[string]string{
		"S":   strings.Replace(eachPreset, `["${{ secrets.S }}", "${{ secrets.OLD }}"]`, `"${{ secrets.S }}"`, 1),
		"OLD": strings.Replace(eachPreset, `["${{ secrets.S }}", "${{ secrets.OLD }}"]`, `"${{ secrets.OLD }}"`, 1),
	} {
		s := generic(t, load(t, config), "stripe", `{"id":"evt_1","type":"a","data":{"object":{}}}`)
		v, err := triggers.Verify(p, "stripe", outside(secrets), captured(s), "", time.Now())
		if err != nil || v.Result != "accepted" || v.Secret != secret {
			t.Errorf("%s: %+v %v", secret, v, err)
		}
	}
}

// captured is a sample as the text of its request.
func captured(s *triggers.SampleRequest) []byte {
	var b strings.Builder
	b.WriteString("POST " + s.Path + " HTTP/1.1\r\nHost: hooks.example.com\r\n")
	_ = s.Header.Write(&b) // a strings.Builder never fails
	b.WriteString("\r\n")
	b.Write(s.Body)
	return []byte(b.String())
}
