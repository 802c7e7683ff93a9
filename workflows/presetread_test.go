package workflows

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// presetWith reads a preset with more keys and one scheme.
func presetWith(t *testing.T, more, verify string) (*Preset, error) {
	t.Helper()
	return ParsePreset("x.yaml", []byte("provider: x\ntitle: X\ncategory: c\nconfidence: verified\nsources: [s]\nsecret: s\nsetup: [a]\n"+
		more+"verify:\n- "+verify+"\nsample: {body: {}}\n"))
}

const (
	hmacScheme = "{variant: v, algorithm: hmac-sha256, signature: {from: {header: X}, encoding: hex}}"
	jwtScheme  = "{variant: v, algorithm: jwt, signature: {from: {header: X}, encoding: jws_compact}, jwt: {algorithms: [%s], " +
		"claims: {iss: a, aud: [b, c]}, optional_claims: {sub: d}}}"
)

// TestTheSchemeOfAPresetIsReadAsWritten: the claims with what they may be, and the age that a signature
// may have if the preset names none.
func TestTheSchemeOfAPresetIsReadAsWritten(t *testing.T) {
	p, err := presetWith(t, "", fmt.Sprintf(jwtScheme, "RS256, ES256"))
	if err != nil {
		t.Fatal(err)
	}
	var claims []string
	for _, c := range p.Verify[0].JWT.Claims {
		claims = append(claims, fmt.Sprint(c.Name, c.Want, c.Optional))
	}
	if got := strings.Join(claims, " "); got != "aud[b c] false iss[a] false sub[d] true" {
		t.Error(got)
	}
	for algorithms, want := range map[string]bool{"RS256, ES256": true, "HS256, HS512": true, "RS256, HS256": false, "HS256, ES256": false} {
		if _, err := presetWith(t, "", fmt.Sprintf(jwtScheme, algorithms)); (err == nil) != want {
			t.Errorf("%s: %v", algorithms, err)
		}
	}
	stamp := "{variant: v, algorithm: hmac-sha256, signature: {from: {header: X}, encoding: hex}, signed_content: '{timestamp}{body}', " +
		"timestamp: {from: {header: T}, unit: unix_s%s}}"
	for written, want := range map[string]time.Duration{"": 5 * time.Minute, ", tolerance: 1h": time.Hour} {
		if p, err := presetWith(t, "", fmt.Sprintf(stamp, written)); err != nil || p.Verify[0].Timestamp.Tolerance != want {
			t.Errorf("%q: %v", written, err)
		}
	}
}

// TestAHandshakeOfEveryDeliveryIsRefused: one without a condition would take each event for the handshake.
func TestAHandshakeOfEveryDeliveryIsRefused(t *testing.T) {
	for detect, ok := range map[string]bool{"{method: GET}": true, "{json: {type: url_verification}}": true, "{query: {c: [a, b]}}": true,
		"{query: {}}": false, "{}": false} {
		p, err := presetWith(t, "handshake: [{detect: "+detect+", respond: {status: 200}}]\n", hmacScheme)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "detect has no condition") {
			t.Errorf("%s: %v", detect, err)
		} else if ok && (!p.Handshakes[0].VerifyFirst || p.Handshakes[0].Refuse != 403) {
			t.Errorf("%s: %+v", detect, p.Handshakes[0])
		}
	}
}

// TestPresetDefinesHowEventsAreIdentified, for how long, and whether a replay can be told from an event.
func TestPresetDefinesHowEventsAreIdentified(t *testing.T) {
	static := "{variant: v, algorithm: static-token, signature: {from: {header: X}, encoding: raw}}"
	for name, c := range map[string]struct{ more, verify, want string }{
		"content":         {"", hmacScheme, "by their content for 1m. Only the body is signed"},
		"content, longer": {"dedupe: 2h\n", hmacScheme, "by their content for 2h. Only the body is signed"},
		"an id":           {"key: body.id\nid_signed: false\n", hmacScheme, "identified by body.id. The signature does not cover the id"},
		"a signed id":     {"key: body.id\n", hmacScheme, "identified by body.id. The signature covers the id"},
		"a header":        {"common_ids: true\ndedupe: 3h\n", hmacScheme, "else by their content for 3h. The signature does not cover"},
		"a token":         {"key: body.id\n", static, "Nothing in a delivery is signed"},
		"a bearer token":  {"", fmt.Sprintf(jwtScheme, "RS256"), "The token proves the sender, not the body"},
		"a moment": {"", "{variant: v, algorithm: hmac-sha256, signed_content: '{body}{header:n}', signature: {from: {header: X}, " +
			"encoding: hex}}", "The signed content is unique to one delivery"},
	} {
		p, err := presetWith(t, c.more, c.verify)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := p.IdentityWords(); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestAParameterIsFoundByItsName and by no other.
func TestAParameterIsFoundByItsName(t *testing.T) {
	p := &Preset{Params: []PresetParam{{Name: "a", Default: "1"}, {Name: "b", Default: "2"}}}
	for name, want := range map[string]string{"a": "1", "b": "2", "c": ""} {
		if got := p.Param(name); (got == nil) != (want == "") || got != nil && got.Default != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestActionDefinesWhatIsRetried without a retry key.
func TestActionDefinesWhatIsRetried(t *testing.T) {
	for want, s := range map[string]ActionSpec{
		"up to 7 times, only if the service cannot have acted": {Retry: &Retry{Max: 7, OnlyUndone: true}},
		"up to 7 times, only if the service cannot have acted (idempotency: none)": {Retry: &Retry{Max: 7, OnlyUndone: true},
			Action: &ConnectorAction{}},
		"up to 4 times": {Retry: &Retry{Max: 4}, Safe: true},
		fmt.Sprintf("up to %d times", DefaultRetry().Max):                                 {Safe: true},
		fmt.Sprintf("up to %d times, with GET, HEAD, PUT and DELETE", DefaultRetry().Max): {SafeMethods: true},
		"no, except for an attempt that got no response (on_unknown)":                     {},
	} {
		if got := s.RepeatText(); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}

// TestTheConnectionOfAnExampleHasEachField, of a value that the field allows.
func TestTheConnectionOfAnExampleHasEachField(t *testing.T) {
	k := &Connector{Name: "acme", Fields: []ConnectionField{{Name: "set", Default: "d", Type: "integer"},
		{Name: "one", Options: []any{"x", "y"}},
		{Name: "n", Type: "integer"}, {Name: "f", Type: "number"}, {Name: "b", Type: "boolean"}, {Name: "base_url"}, {Name: "api_key"}}}
	c := k.ExampleConnection()
	for name, want := range map[string]any{"set": "d", "one": "x", "n": 1, "f": 1, "b": true, "base_url": "https://example.com",
		"api_key": "example-api-key"} {
		if got := c.Fields[name]; got == nil || got.constant != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestToolNamesHaveAllowedCharactersOnly, and at most 64 of them.
func TestToolNamesHaveAllowedCharactersOnly(t *testing.T) {
	for id, want := range map[string]string{"azAZ09_-": "run_azAZ09_-", "a.b/c d": "run_a_b_c_d", "@[`{/:": "run_______",
		strings.Repeat("x", 70): "run_" + strings.Repeat("x", 60)} {
		if got := (&Workflow{ID: id}).ToolName(); got != want {
			t.Errorf("%s: %s", id, got)
		}
	}
}

// TestRedactPathSelectsOnlyItsField: a name no element, and an index no field.
func TestRedactPathSelectsOnlyItsField(t *testing.T) {
	type of struct {
		name  string
		index int
	}
	for _, c := range []struct {
		step RedactStep
		at   of
		want bool
	}{
		{RedactStep{Any: true, Index: -1}, of{"a", -1}, true}, {RedactStep{Any: true, Index: -1}, of{"", 3}, true},
		{RedactStep{Name: "a", Index: -1}, of{"a", -1}, true}, {RedactStep{Name: "a", Index: -1}, of{"b", -1}, false},
		{RedactStep{Index: -1}, of{"", 0}, false}, {RedactStep{Index: 0}, of{"", 0}, true},
		{RedactStep{Index: 0}, of{"", 1}, false}, {RedactStep{Index: 0}, of{"", -1}, false},
	} {
		if got := c.step.Takes(c.at.name, c.at.index); got != c.want {
			t.Errorf("%+v takes %+v: %v", c.step, c.at, got)
		}
	}
}

// TestGuessableSecretIsWeak, whatever surrounds the word, and a longer text with a known word is not.
func TestGuessableSecretIsWeak(t *testing.T) {
	for text, want := range map[string]string{
		"": "is empty", "  ": "is blank", "Change-Me!": "well-known", "whsec_changeme": "well-known", "replace-me-now": "well-known",
		"<your secret>": "well-known", "zq7kfw3": "only 7 bytes", "zq7kfw3p": "", "zzzzzzzzzz": "one letter", "whsec_zq7kfw3p": "",
		"mychangeme1": "", "<zq7kfw3p": "", "zq7kfw3p>": "", "hunter-password": "",
	} {
		if got := WeakSecret(text); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q", text, got)
		}
	}
}
