package triggers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// parts is a request taken apart into the texts that a signed_content names.
type parts map[string]string

var (
	variable = regexp.MustCompile(`\{\{|\}\}|\[|\]|\{[^{}]+\}`)
	ourURL   = "https://hooks.example.com/hooks/hook"
)

// pieces cuts a template into fixed text and variables, with its options present.
func pieces(text string, fixed parts) (out []string) {
	text = strings.NewReplacer("{{", "\x01", "}}", "\x02", "[", "", "]", "").Replace(text)
	for text != "" {
		m := variable.FindStringIndex(text)
		if m == nil {
			m = []int{len(text), len(text)}
		}
		literal := strings.NewReplacer("\x01", "{", "\x02", "}").Replace(text[:m[0]])
		name := text[m[0]:m[1]]
		if value, ok := fixed[name]; ok {
			literal, name = literal+value, ""
		}
		if n := len(out); literal != "" && n > 0 && !strings.HasPrefix(out[n-1], "{") {
			out[n-1] += literal
		} else if literal != "" {
			out = append(out, literal)
		}
		if name != "" {
			out = append(out, name)
		}
		text = text[m[1]:]
	}
	return out
}

// resplits visits every way to read text as the pieces.
func resplits(text string, pieces []string, so parts, visit func(parts)) {
	if len(pieces) == 0 {
		if text == "" {
			visit(so)
		}
		return
	}
	p := pieces[0]
	if !strings.HasPrefix(p, "{") || len(p) < 3 {
		if rest, ok := strings.CutPrefix(text, p); ok {
			resplits(rest, pieces[1:], so, visit)
		}
		return
	}
	for i := 0; i <= len(text); i++ {
		if len(pieces) == 1 && i < len(text) {
			continue
		}
		if len(pieces) > 1 && (!strings.HasPrefix(pieces[1], "{") || len(pieces[1]) < 3) && !strings.HasPrefix(text[i:], pieces[1]) {
			continue
		}
		next := parts{p: text[:i]}
		for k, v := range so {
			next[k] = v
		}
		resplits(text[i:], pieces[1:], next, visit)
	}
}

// request makes the request that holds the texts; nil when the trigger could never
// be sent it.
func (p parts) request(v *signature.Verifier, params map[string]string) *signature.Request {
	json, form := map[string]string{}, url.Values{}
	r := &signature.Request{Method: http.MethodPost, Header: http.Header{}, Query: url.Values{}, PublicURL: ourURL, CallbackURL: ourURL,
		Params: params, MediaType: "application/json",
		JSON: func(path string) (string, bool) { s, ok := json[path]; return s, ok }, Form: func() (url.Values, error) { return form, nil }}
	r.Each = func(string) []func(string) (string, bool) { return []func(string) (string, bool){r.JSON} }
	for name, value := range p {
		kind, place, _ := strings.Cut(strings.Trim(name, "{}"), ":")
		place, _, _ = strings.Cut(place, "|")
		kind, _, _ = strings.Cut(kind, "|")
		switch kind {
		case "timestamp":
			if at := v.Timestamp.From; at.Header != "" {
				r.Header.Set(at.Header, value)
			} else if at.JSON != "" {
				json[at.JSON] = value
			} else if at.Form != "" {
				form.Set(at.Form, value)
			}
		case "body":
			r.Body = []byte(value)
		case "header":
			r.Header.Set(place, value)
		case "query":
			r.Query.Set(place, value)
		case "json":
			json[place] = value
		case "form":
			if place == "" {
				continue
			}
			form.Set(place, value)
			r.MediaType = "application/x-www-form-urlencoded"
		case "public_url", "callback_url", "public_url_decoded":
			if value != ourURL && !strings.HasPrefix(value, ourURL+"?") {
				return nil // another path is another trigger
			}
			r.PublicURL, r.CallbackURL = value, value
		default:
			return nil
		}
	}
	return r
}

// TestSignedTextIsUnambiguous: for each scheme of each preset, a delivery is signed
// whose parts hold what may part them, and its bytes are cut in every other way. None
// of them is genuine, or the content counts once only.
func TestSignedTextIsUnambiguous(t *testing.T) {
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, name := range library.Names() {
		p, err := library.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range p.Verify {
			if v.Algorithm != "jwt" && v.Algorithm != "static-token" && v.Algorithm != "basic-auth" {
				tried += trySplits(t, p, v)
			}
		}
	}
	if tried < 500 {
		t.Errorf("only %d ways to cut were tried", tried)
	}
}

func trySplits(t *testing.T, p *workflows.Preset, written *workflows.Verify) (tried int) {
	params := map[string]string{}
	for _, x := range p.Params {
		params[x.Name] = "param-" + x.Name
	}
	v, err := signature.Compile(written.WithParams(params))
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	if why := v.Ambiguous(); why != "" {
		// Midtrans signs order, status code and amount alone: a settlement and its refunds
		// are signed alike, and each is an event. To cut that text otherwise takes a
		// notification that was seen on its way.
		if !written.SignsMoment(p.BodyFromToken) && p.Name != "midtrans" {
			t.Errorf("%s/%s: %s, and the content counts more than once", p.Name, v.Variant, why)
		}
		return 1
	}
	secret := secretFor(written, false)
	key, err := v.NewKey(secret)
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	now := time.Now().Truncate(time.Second)
	clock, later := "", ""
	if v.Timestamp != nil {
		clock, later = signature.FormatClock(v.Timestamp.Unit, now), signature.FormatClock(v.Timestamp.Unit, now.Add(time.Minute))
	}
	fixed := parts{"{LF}": "\n", "{secret}": secret, "{method}": "POST"}
	for n, value := range params {
		fixed["{param:"+n+"}"] = value
	}
	list := pieces(written.SignedContent[0], fixed)
	base := parts{}
	for i, x := range list {
		if strings.HasPrefix(x, "{") && len(x) > 2 {
			base[x] = valueFor(x, list, i, clock, later)
		}
	}
	text := ""
	for _, x := range list {
		if value, ok := base[x]; ok {
			x = value
		}
		text += x
	}
	if len(base) < 2 || base.request(v, params) == nil {
		return 0 // one part cannot be cut, and derived ones are not sent
	}
	req := base.request(v, params)
	inBody, err := v.Sign(req, key, now)
	if err != nil {
		t.Fatalf("%s/%s: %v", p.Name, v.Variant, err)
	}
	for _, b := range inBody {
		base["{json:"+b.Place.JSON+"}"], base["{form:"+b.Place.Form+"}"] = b.Text, b.Text
	}
	req = base.request(v, params)
	if _, err := v.Sign(req, key, now); err != nil {
		t.Fatalf("%s/%s: %v", p.Name, v.Variant, err)
	}
	put := func(r *signature.Request, was, is string) { // the same signature, with the time that stands beside it
		r.Header[v.From.Header] = []string{strings.Replace(req.Header.Get(v.From.Header), was, is, 1)}
	}
	if got := v.Verify(req, []signature.Key{key}, now); !got.OK() {
		t.Errorf("%s/%s: what was signed is refused: %s %s", p.Name, v.Variant, got.Reason, got.Detail)
	}
	resplits(text, list, parts{}, func(so parts) {
		for _, b := range inBody {
			so["{json:"+b.Place.JSON+"}"], so["{form:"+b.Place.Form+"}"] = b.Text, b.Text
		}
		r := so.request(v, params)
		if r == nil || tried > 3000 || fmt.Sprint(so) == fmt.Sprint(base) {
			return
		}
		tried++
		put(r, clock, so["{timestamp}"])
		for _, q := range v.Require {
			r.Header.Set(q.Place.Header, q.Want[0])
		}
		if got := v.Verify(r, []signature.Key{key}, now); got.OK() {
			t.Errorf("%s/%s: a signature over %q is one over %q too", p.Name, v.Variant, base, so)
		}
	})
	return tried
}

// valueFor is a text for a part that holds what comes after it and before it.
func valueFor(x string, list []string, i int, clock, later string) string {
	switch {
	case x == "{timestamp}" || strings.Contains(x, "timestamp}"):
		return clock
	case strings.Contains(x, "_url"):
		return ourURL + "?a=1"
	}
	inside := ""
	for _, l := range list[:min(len(list), 6)] {
		if strings.HasPrefix(l, "{") && len(l) > 2 {
			if l == "{timestamp}" {
				l = later
			} else {
				l = "k9"
			}
		}
		inside += l
	}
	if x == "{body}" {
		return `{"text":"hi` + strings.ReplaceAll(inside, "\n", " ") + `","more":[{}],"url":"` + ourURL + `?a="}`
	}
	if strings.Contains(x, "|any") || i >= len(list)-2 && !strings.Contains(strings.Join(list, ""), "|any") {
		return "r" + inside
	}
	return "12"
}
