package triggers_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// TestHandshakeResponseIsNoDeliverySignature: what a handshake computes for a stranger is tried as
// the signature of a delivery that holds the stranger's text, for each preset.
func TestHandshakeResponseIsNoDeliverySignature(t *testing.T) {
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	answered := 0
	for _, name := range library.Names() {
		p, err := library.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, hs := range p.Handshakes {
			if hs.Compute == nil {
				continue
			}
			for _, v := range p.Verify {
				for _, text := range []string{"tweet_create_events=FORGED", "tweet_create_events", "true", "12345", `{"a":1}`,
					"deadbeefdeadbeefdeadbeef", "PG5vdGlmaWNhdGlvbi8+", "hmacsha256=true", "hmacsha256={}",
					"v0:1767225600:{}", "890e4665-4dfe-4ab1-b689-ed553bceeed0", "abcdefgh", "a=b", "a&b=c", "null", "[]", "a\n"} {
					answered += tryOracle(t, p, v, text)
				}
			}
		}
	}
	if answered < 10 {
		t.Errorf("only %d challenges were answered", answered)
	}
}

// computed finds a digest in an answer.
var computed = regexp.MustCompile(`[0-9a-f]{64}|[0-9a-f]{40}|[A-Za-z0-9+/]{43}=`)

func tryOracle(t *testing.T, p *workflows.Preset, v *workflows.Verify, text string) int {
	project, lookup := presetProject(t, p, v)
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooksWith(t, project, sink, lookup)
	query := url.Values{}
	for _, n := range []string{"crc_token", "bt_challenge", "challengeCode", "challenge_code"} {
		query.Set(n, text)
	}
	answer := post(h, http.MethodGet, "/hooks/hook?"+query.Encode(), nil, nil)
	if answer.Code != http.StatusOK {
		body := `{"event":"endpoint.url_validation","payload":{"plainToken":` + string(must(value.EncodeJSON(text))) + `}}`
		answer = post(h, http.MethodPost, "/hooks/hook", http.Header{"Content-Type": {"application/json"}}, []byte(body))
	}
	digest := computed.FindString(answer.Body.String())
	if answer.Code != http.StatusOK || digest == "" {
		return 0
	}
	raw, err := hex.DecodeString(digest)
	if err != nil {
		raw = must(base64.StdEncoding.DecodeString(digest))
	}
	compiled := must(signature.Compile(v.WithParams(nil)))
	for _, sig := range []string{hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw)} {
		for _, body := range []string{text, strings.TrimPrefix(text, "hmacsha256="), "bt_payload=" + url.QueryEscape(text) +
			"&evil=1&bt_signature=" + url.QueryEscape("https://sample.example.com/public_key|"+sig)} {
			for _, kind := range []string{"application/json", "application/x-www-form-urlencoded", "text/plain", ""} {
				header := http.Header{"Content-Type": {kind}, "X-Zm-Request-Timestamp": {"1767225600"}}
				header.Set(compiled.From.Header, v.Prefix+sig)
				post(h, http.MethodPost, "/hooks/hook", header, []byte(body))
			}
		}
	}
	if len(sink.taken) > 0 {
		t.Errorf("%s: the answer to the challenge %q signs a delivery: %s", p.Name, text, sink.taken[0].Raw)
	}
	return 1
}
