package workflows_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// credentialWarnings loads a project with one workflow and returns what is said of credentials.
func credentialWarnings(t *testing.T, files map[string]string) (warnings []workflows.Mistake, printed string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	_, mistakes := workflows.Load(dir, catalog(t), nil)
	for _, m := range mistakes {
		if m.Code == "credential-in-file" {
			warnings = append(warnings, m)
		}
	}
	return warnings, mistakes.Error()
}

// TestCredentialInAFileIsReportedWithoutItsValue writes tokens of services into an input, where no name tells
// what they are. They are put together here, so that no scanner takes this file for a leak.
func TestCredentialInAFileIsReportedWithoutItsValue(t *testing.T) {
	hex := strings.Repeat("0a1b2c3d", 8)
	for name, token := range map[string]string{
		"Stripe":        "sk_" + "live_51H8abcdefghijklmnop",
		"GitHub":        "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345",
		"fine":          "github_" + "pat_11ABCDEFG0123456789abcd_0123456789abcdef",
		"GitLab":        "glpat" + "-0123456789abcdefghij",
		"Slack":         "xoxb" + "-123456789012-123456789012-abcdefABCDEF",
		"Slack hook":    "https://hooks.slack" + ".com/services/T00000001/B00000001/abcdefghijklmnopqrstuvwx",
		"AWS":           "AKIA" + "Q3EGRTPMWIN2ABCD",
		"Google":        "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
		"Anthropic":     "sk-" + "ant-api03-abcdefghijklmnopqrstuvwxyz012345",
		"OpenAI":        "sk-" + "proj-abcdefghijklmnopqrstuvwxyz012345",
		"SendGrid":      "SG." + "abcdefghijklmnop012345.abcdefghijklmnopqrstuvwxyz0123456789abcdefg",
		"Shopify":       "shpat_" + hex[:32],
		"HubSpot":       "pat-" + "eu1-0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f",
		"Mailchimp":     hex[:32] + "-us" + "14",
		"Telegram":      "123456789:" + "AA" + "abcdefghijklmnopqrstuvwxyz0123456",
		"Telegram URL":  "https://api.telegram.org/bot123456789:" + "AA" + "abcdefghijklmnopqrstuvwxyz0123456",
		"Perplexity":    "pplx" + "-" + hex[:48],
		"Fly.io":        "fo1" + "_" + hex[:43],
		"xAI":           "xai" + "-" + hex + hex[:16],
		"Replicate":     "r8" + "_" + hex[:37],
		"Groq":          "gsk" + "_" + hex[:52],
		"Figma":         "figd" + "_" + hex[:40],
		"Supabase":      "sbp" + "_" + hex[:40],
		"Supabase key":  "sb_" + "secret_0a1b2c3d4e5f6a7b8c9d0e_1f2a3b4c",
		"Resend":        "re_" + "A1b2C3d4_" + hex[:24],
		"Paddle":        "pdl_live_" + "apikey_01gtgztp8f4kek3yd4g1wrksa3_q6TGTJyvoIz7LDtXT65bX7_AQO",
		"Paddle hook":   "pdl_" + "ntfset_01gkpjp8bkm3tm53kdgkx6sms7_6h3qd3uFSi9YCD3OLYAShQI90XTI5vEI",
		"ClickUp":       "pk_" + "12345678_" + strings.ToUpper(hex[:32]),
		"Razorpay":      "rzp_" + "live_A1b2C3d4E5f6G7:" + hex[:24],
		"Flutterwave":   "FLWSECK-" + hex[:32] + "-X",
		"Flutterwave 2": "FLWSECK-" + hex[:32] + "-19c237bb6f9vt-X",
		"Intercom":      "dG9rO" + "jNmOTlmNTQ1XzdkMzVfNDA4ZF84YWI2X2UyYWFhYWFhYWFhYToxOjA=",
		"Asana":         "1/" + "1204123456789012:" + hex[:32],
		"Asana 2":       "2/" + "1204123456789012/1204123456789013:" + hex[:32],
		"Zapier":        "https://hooks.zapier" + ".com/hooks/catch/123456/abcdef1",
		"Make":          "https://hook.eu1.make" + ".com/" + hex[:32],
		"Vault":         "hvs." + strings.Repeat("CAESIabc0", 10),
		"private key":   "-----BEGIN RSA " + "PRIVATE KEY-----",
		"JWT":           "eyJhbGciOiJIUzI1NiIsInR5cCI6" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
	} {
		warnings, printed := credentialWarnings(t, map[string]string{"workflows/w.yaml": "on: manual\nsteps:\n" +
			"  - {id: a, uses: log, with: {message: \"x " + token + " y\"}, nosuchkey: 1}\n"})
		if len(warnings) != 1 || !warnings[0].Warning || warnings[0].Line != 3 {
			t.Errorf("%s: want one warning at line 3, got %v", name, warnings)
		}
		if strings.Contains(printed, token) {
			t.Errorf("%s: the credential is printed:\n%s", name, printed)
		}
		if len(warnings) == 1 {
			followCredentialAdvice(t, name, token, warnings[0].Hint)
		}
	}
}

// followCredentialAdvice writes what a hint says in place of the token: in the text, as a URL and as
// the token of a request. validate then finds nothing, but that the secret is not set.
func followCredentialAdvice(t *testing.T, name, token, hint string) {
	t.Helper()
	secret := regexp.MustCompile(`\$\{\{ secrets\.(\w+) \}\}`).FindStringSubmatch(hint)
	if secret == nil || !strings.Contains(hint, "hookloom secrets set "+secret[1]+" stores the value") {
		t.Errorf("%s: the hint names no secret: %s", name, hint)
		return
	}
	places := []string{`uses: log, with: {message: "x TOKEN y"}`,
		`uses: http/get, with: {url: "https://api.example.com/", auth: {bearer: "TOKEN"}}`}
	if strings.HasPrefix(token, "https://") {
		places = append(places, `uses: http/post, with: {url: "TOKEN", body: {a: 1}}`)
	}
	for _, place := range places {
		dir := t.TempDir()
		step := strings.ReplaceAll(place, "TOKEN", secret[0])
		write(t, filepath.Join(dir, "workflows/w.yaml"), []byte("on: manual\nsteps: [{"+step+"}]\n"))
		if _, mistakes := workflows.Load(dir, catalog(t), nil); len(mistakes) > 0 {
			t.Errorf("%s: after the advice, %s:\n%s", name, step, mistakes.Error())
		}
	}
}

// TestAPasswordOfDigitsIsACredential: YAML reads it as a number if it is not quoted.
func TestAPasswordOfDigitsIsACredential(t *testing.T) {
	for auth, want := range map[string]int{
		"{basic: {user: ada, password: 84753920}}":                  1,
		"{bearer: 84753920174658392}":                               1,
		"{header: {name: X-Pin, value: 84753920}}":                  1,
		"{query: {name: pin, value: 0x1234567}}":                    1,
		"{basic: {user: 84753920, password: \"${{ secrets.P }}\"}}": 0,
	} {
		warnings, _ := credentialWarnings(t, map[string]string{
			"hookloom.yaml": "connections:\n  crm: {connector: http, base_url: https://crm.example.com, auth: " + auth + "}\n",
		})
		if len(warnings) != want {
			t.Errorf("%s: %d warnings, expected %d: %v", auth, len(warnings), want, warnings)
		}
	}
}

// TestPlaceholderIsNoCredential guards against false alarms.
func TestPlaceholderIsNoCredential(t *testing.T) {
	for _, with := range []string{
		`headers: {Authorization: "Bearer ${{ secrets.TOKEN }}"}`,
		`headers: {Authorization: "Bearer YOUR_API_KEY"}`,
		`headers: {Authorization: "Bearer <token>"}`,
		`headers: {Authorization: "Bearer sk_test_1234567890"}`,
		`headers: {Authorization: "Bearer test-token-0123456789"}`,
		`headers: {X-Api-Key: "xxxxxxxxxxxxxxxx"}`,
		`headers: {X-Api-Key: "***"}`,
		`headers: {X-Api-Key: "${{ inputs.key }}"}`,
		`headers: {Cookie: "consent=yes; theme=dark"}`,
		`headers: {X-Request-Id: 0123456789abcdef0123456789abcdef, Idempotency-Key: 0123456789abcdef0123456789abcdef}`,
		`auth: {basic: {user: ada, password: "${{ secrets.PASSWORD }}"}}`,
		`auth: {header: {name: X-Api-Key-Of-The-Shop, value: "${{ secrets.KEY }}"}}`,
		`query: {token: monthly, key: orders, page_token: abcdefgh01234567}`,
		`body: {access_key_id: AKIAIOSFODNN7EXAMPLE, password_reset: true, secret: "a long text with 1 secret"}`,
		`body: {commit: 0123456789abcdef0123456789abcdef01234567, id: 9f8e7d6c5b4a39281706}`,
		`body: {password: "", token: null, api_key: 12}`,
		`body: {key_id: rzp_live_A1b2C3d4E5f6G7, anon: sb_publishable_0a1b2c3d4e5f6a7b8c9d0e_1f2a3b4c, refund: re_3OabcdefghijklmnopqrstuV}`,
		`body: {docs: "https://hooks.zapier.com/hooks/catch/", part: 11/12, at: "1/2026:x"}`,
		`text: "the token of order 4711 is at https://example.com/a:b@c?page=2&token=none"`,
	} {
		warnings, _ := credentialWarnings(t, map[string]string{
			"workflows/w.yaml": "on: manual\ninputs: {key: string}\nsteps:\n" +
				"  - {id: a, uses: http/post, with: {url: https://api.example.com/x, " + with + "}}\n",
		})
		for _, w := range warnings {
			t.Errorf("%s: %s", with, w)
		}
	}
	warnings, _ := credentialWarnings(t, map[string]string{
		"workflows/w.yaml": "on: manual\nsteps: [{stop: x}]\ntests:\n" +
			"  - {name: a, headers: {Authorization: Bearer 0123456789abcdef01}, expect: {status: succeeded}}\n",
	})
	if len(warnings) > 0 {
		t.Errorf("a test's value: %v", warnings)
	}
}

// TestExamplesAndTextsForPeopleMayShowACredential: below these keys nothing is sent.
func TestExamplesAndTextsForPeopleMayShowACredential(t *testing.T) {
	keys := strings.Fields("test tests example examples sample returns inputs schema description docs help options pattern mocks redact " +
		"fixture expect")
	for _, key := range append(keys, "body") {
		warnings, _ := credentialWarnings(t, map[string]string{"workflows/w.yaml": "on: manual\nsteps:\n" +
			"  - {id: a, uses: http/post, with: {url: https://a.example/x, " + key + ": {password: Zq7kfw3pLm2}}}\n"})
		if (len(warnings) > 0) != (key == "body") {
			t.Errorf("%s: %v", key, warnings)
		}
	}
}

// TestACredentialInABrokenFileIsNotPrinted: a file that is not YAML has no tree, and a password in an address
// or a connection string may be written wrongly.
func TestACredentialInABrokenFileIsNotPrinted(t *testing.T) {
	for _, text := range []string{
		"connections: {a: {auth: {bearer: hunter2x9 }",
		"connections: {a: {auth: {bearer: \"hunter2x9}}}",
		"connections: {a: {auth: {header: {name: x, value: 'hunter2x9}}}",
		"connections: {a: {auth: {basic: \"ada:hunter2x9\"}}}",
		"connections: {a: {auth: {bearer: 7123hunter2x9: 1}}}\nb: ]",
		"triggers: {s: {webhook: {secret: *hunter2x9}}}",
		"server: {db: \"postgres://ada:hunter2#x9@h/x\", adr: 1}",
		"server: {db: \"host=h password=hunter2x9\", adr: 1}",
		"server: {db: \"postgres://ada:hunter2x9@h/x, adr: 1}",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "hookloom.yaml"), []byte(text+"\n"))
		_, mistakes := workflows.Load(dir, catalog(t), nil)
		if printed := mistakes.Error(); strings.Contains(printed, "hunter2") || !strings.Contains(printed, "hookloom.yaml") {
			t.Errorf("%s\n%s", text, printed)
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hookloom.yaml"), []byte("connections: {a: {auth: {bearer: \"${{ secrets.TOK }}\"}\n"))
	if _, mistakes := workflows.Load(dir, catalog(t), nil); !strings.Contains(mistakes.Error(), "${{ secrets.TOK }}") {
		t.Errorf("the name of a secret is hidden:\n%s", mistakes.Error())
	}
}
