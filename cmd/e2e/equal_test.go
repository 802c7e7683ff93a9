//go:build unix

package e2e

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the scheme of Storyblok
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// equalSecret signs the deliveries of TestEqualDeliveriesAtOnceAreOneEvent.
const equalSecret = "a-long-shared-token-of-a-test"

// equalKinds are deliveries that a sender repeats, by what identifies them.
var equalKinds = []struct {
	name, webhook, body string
	// own reports whether each has a delivery id of its own.
	own bool
}{
	{"storyblok_empty", "provider: storyblok", "", false},
	{"storyblok", "provider: storyblok", `{"action":"published","story_id":1}`, false},
	{"empty", "auth", "", false},
	{"unreadable", "auth", `{"a"`, false},
	{"github", "provider: github", `{"id":"1"}`, false},
	{"strict", "provider: github, replays: body", `{"id":"1"}`, true},
	{"keyed", "auth, key: body.id", `{"id":"1"}`, false},
	{"key_is_nil", "auth, key: body.nope", `{"id":"1"}`, false},
	{"list", "auth, split: body.items, key: item.id", `{"items":[{"id":1},{"id":2}]}`, false},
}

// TestEqualDeliveriesAtOnceAreOneEvent sends each delivery six times at the same moment, so that the
// repeats meet the first before it is stored.
func TestEqualDeliveriesAtOnceAreOneEvent(t *testing.T) {
	realProcess(t)
	const rounds = 4
	files := map[string]string{"hookloom.yaml": "timezone: UTC\n", ".env": "KEY=" + equalSecret + "\n"}
	for _, k := range equalKinds {
		webhook := strings.Replace(k.webhook, "auth", `auth: {header: {name: X-Token, value: "${{ secrets.KEY }}"}}`, 1)
		if !strings.HasPrefix(k.webhook, "auth") {
			webhook += `, secret: "${{ secrets.KEY }}"`
		}
		for i := range rounds {
			name := fmt.Sprintf("%s_%d", k.name, i)
			files["workflows/"+name+".yaml"] = fmt.Sprintf("on:\n  webhook: {%s, path: /hooks/%s}\nsteps: [{stop: x}]\n", webhook, name)
		}
	}
	p := newProject(t, files)
	s := p.start(t)
	defer s.stop(t)
	for _, k := range equalKinds {
		for i := range rounds {
			events, accepted, problems := sendAtOnce(p.hookURL(fmt.Sprintf("%s_%d", k.name, i)), k.body, k.own)
			if len(events) != 1 || events[""] || accepted != 1 || len(problems) > 0 {
				t.Errorf("%s: events %v, %d accepted, %v", k.name, events, accepted, problems)
			}
		}
	}
}

// sendAtOnce sends a delivery six times; it returns the events that the answers name, and how many
// deliveries were accepted as new ones.
func sendAtOnce(url, body string, own bool) (events map[string]bool, accepted int, problems []error) {
	events = map[string]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range 6 {
		wg.Go(func() {
			<-begin
			status, event, err := sendEqual(url, body, map[bool]int{true: i}[own])
			mu.Lock()
			defer mu.Unlock()
			events[event] = true
			if status == http.StatusAccepted {
				accepted++
			}
			if err != nil {
				problems = append(problems, err)
			}
		})
	}
	close(begin)
	wg.Wait()
	return events, accepted, problems
}

func sendEqual(url, body string, id int) (status int, event string, err error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	sign := func(of func() hash.Hash) string {
		h := hmac.New(of, []byte(equalSecret))
		h.Write([]byte(body)) //nolint:errcheck // never fails
		return hex.EncodeToString(h.Sum(nil))
	}
	for name, v := range map[string]string{"Content-Type": "application/json", "X-Token": equalSecret, "Webhook-Signature": sign(sha1.New),
		"X-Hub-Signature-256": "sha256=" + sign(sha256.New), "X-GitHub-Event": "push"} {
		req.Header.Set(name, v)
	}
	if strings.Contains(url, "github") || strings.Contains(url, "strict") {
		req.Header.Set("X-GitHub-Delivery", fmt.Sprint("delivery-", id))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		return resp.StatusCode, "", fmt.Errorf("%s %s: %w", resp.Status, text, err)
	}
	var answer struct{ Event string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return resp.StatusCode, "", fmt.Errorf("%s: %w", text, err)
	}
	return resp.StatusCode, answer.Event, nil
}
