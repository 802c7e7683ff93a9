package signature_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
)

// hexOf is the HMAC-SHA256 of a text by secret.
func hexOf(t *testing.T, text string) string {
	t.Helper()
	v := verifier(t, signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"},
		SignedContent: []string{"{body}"}})
	req := request(text)
	if _, err := v.Sign(req, key(t, v, secret), now); err != nil {
		t.Fatal(err)
	}
	return req.Header.Get("X-S")
}

// TestSignaturesAreFoundInEachFormOfList, with the time that stands beside them, and nowhere else.
func TestSignaturesAreFoundInEachFormOfList(t *testing.T) {
	sig, bad, clock := hexOf(t, "body"), strings.Repeat("00", 32), fmt.Sprint(now.Unix())
	timed := hexOf(t, clock+".body")
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	many := func(n int, last string) string { return strings.Repeat("v1,"+bad+" ", n-1) + "v1," + last }
	kv := signature.Parse{Format: "kv_list", Separator: ",", SignatureKeys: []string{"v1", "v2"}, TimestampKey: "t"}
	groups := kv
	groups.Groups = true
	space := signature.Parse{Format: "space_list", Versions: []string{"v1", "v3"}}
	comma, positional := signature.Parse{Format: "comma_list"}, signature.Parse{Format: "positional", Separator: ";"}
	pair := signature.Parse{Format: "pair_list", Separator: "&", Select: "{param:public}"}
	packed := signature.Parse{Format: "json_base64", SignatureKeys: []string{"s", "sig"}, KeyID: "kid"}
	const ok, wrong, malformed, missing = signature.Accepted, signature.Wrong, signature.Malformed, signature.Missing
	for _, c := range []struct {
		name    string
		parse   signature.Parse
		timed   bool
		headers []string
		want    signature.Reason
	}{
		{"kv_list", kv, false, []string{"v1=" + sig}, ok},
		{"kv_list, the second key", kv, false, []string{"v0=" + bad + ",v2=" + sig}, ok},
		{"kv_list, in quotes", kv, false, []string{`x="1", v1="` + sig + `"`}, ok},
		{"kv_list, an empty value before it", kv, false, []string{"v1=,v1=" + sig}, ok},
		{"kv_list, a word without a value", kv, false, []string{"v1,v1=" + sig}, ok},
		{"kv_list, another key", kv, false, []string{"v3=" + sig}, malformed},
		{"kv_list, the time before", kv, true, []string{"t=" + clock + ",v1=" + timed}, ok},
		{"kv_list, the time behind", kv, true, []string{"v1=" + timed + ",t=" + clock}, ok},
		{"kv_list, no time", kv, true, []string{"v1=" + timed}, signature.NoClock},
		{"kv_list, a word behind the time", kv, true, []string{"t=" + clock + ",t,v1=" + timed}, ok},
		{"kv_list, a word for the time", kv, true, []string{"t,v1=" + timed + ",=" + clock}, signature.NoClock},
		{"kv_list, blank", kv, false, []string{" "}, missing}, {"kv_list, no header", kv, false, nil, missing},
		{"groups, the second one is ours", groups, true, []string{"t=1,v1=" + bad + " t=" + clock + ",v1=" + timed}, ok},
		{"groups, the time of another one", groups, true, []string{"t=" + clock + ",v1=" + bad + " t=1,v1=" + timed}, wrong},
		{"space_list", space, false, []string{"v1," + sig}, ok},
		{"space_list, another version", space, false, []string{"v2," + sig}, malformed},
		{"space_list, no version", space, false, []string{sig}, malformed},
		{"space_list, the last", space, false, []string{"v2,x v3," + bad + "  v1," + sig}, ok},
		{"space_list, in a second header", space, false, []string{"v1," + bad, "v1," + sig}, ok},
		{"space_list, 128 of them", space, false, []string{many(128, sig)}, ok},
		{"space_list, 129 of them", space, false, []string{"v1," + sig + " " + many(128, sig)}, malformed},
		{"comma_list", comma, false, []string{bad + ", " + sig}, ok},
		{"comma_list, in a second header", comma, false, []string{bad, sig}, ok},
		{"comma_list, none", comma, false, []string{"x,y"}, malformed},
		{"positional", positional, true, []string{clock + ";" + timed}, ok},
		{"positional, the second", positional, true, []string{clock + " ; " + bad + "; " + timed}, ok},
		{"positional, the time alone", positional, true, []string{clock}, malformed},
		{"positional, no time in front", positional, true, []string{timed + ";" + timed}, wrong},
		{"pair_list", pair, false, []string{"other|" + bad + "&pk_1|" + sig}, ok},
		{"pair_list, of another one", pair, false, []string{"other|" + sig}, malformed},
		{"pair_list, no pair", pair, false, []string{sig}, malformed},
		{"json_base64", packed, false, []string{b64(`{"sig":"` + sig + `"}`)}, ok},
		{"json_base64, beside another one", packed, false, []string{b64(`{"s":"` + bad + `","sig":"` + sig + `"}`)}, ok},
		{"json_base64, no text", packed, false, []string{b64(`{"sig":5}`)}, malformed},
		{"json_base64, no JSON", packed, false, []string{b64(`{"sig":"` + sig + `"`)}, malformed},
		{"json_base64, no base64", packed, false, []string{`{"sig":"` + sig + `"}`}, malformed},
	} {
		s := signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "x-sig"}, Encodings: []string{"hex"}, Parse: c.parse,
			SignedContent: []string{"{body}"}}
		if c.timed {
			s.SignedContent = []string{"{timestamp}.{body}"}
			s.Timestamp = &signature.Timestamp{From: signature.Place{Field: "t"}, Unit: "unix_s", Tolerance: time.Minute}
		}
		v := verifier(t, s)
		req := request("body")
		req.Params = map[string]string{"public": "pk_1"}
		req.Header["X-Sig"] = c.headers
		got := v.Verify(req, []signature.Key{key(t, v, secret)}, now)
		if got.Reason != c.want || !got.OK() && got.Key != -1 || got.OK() && c.timed && !got.Time.Equal(now) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	v := verifier(t, signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-Sig"}, Encodings: []string{"hex"},
		SignedContent: []string{"{body}"}, Parse: pair})
	req := request("body") // without the parameter that selects
	req.Header.Set("X-Sig", "|"+sig)
	if got := v.Verify(req, []signature.Key{key(t, v, secret)}, now); got.Reason != malformed {
		t.Errorf("a pair without a name: %+v", got)
	}
}

// TestSignatureHasOneEncoding: one signature has one text.
func TestSignatureHasOneEncoding(t *testing.T) {
	sig := hexOf(t, "body")
	raw, err := hex.DecodeString(sig)
	if err != nil {
		t.Fatal(err)
	}
	std, nopad := base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw)
	for _, c := range []struct {
		name, prefix string
		optional     bool
		encodings    []string
		text         string
		want         signature.Reason
	}{
		{"hex", "", false, []string{"hex"}, sig, signature.Accepted},
		{"hex in capitals", "", false, []string{"hex"}, strings.ToUpper(sig), signature.Accepted},
		{"hex with blanks around", "", false, []string{"hex"}, " " + sig + " ", signature.Accepted},
		{"half of it", "", false, []string{"hex"}, sig[:32], signature.Wrong},
		{"hex, then more", "", false, []string{"hex"}, sig + "x", signature.Malformed},
		{"base64", "", false, []string{"base64"}, std, signature.Accepted},
		{"base64 with a line feed", "", false, []string{"base64"}, std[:8] + "\n" + std[8:], signature.Malformed},
		{"base64 without its end", "", false, []string{"base64"}, strings.TrimRight(std, "="), signature.Malformed},
		{"base64 for URLs", "", false, []string{"base64url_nopad"}, nopad, signature.Accepted},
		{"base64 for URLs with a line feed", "", false, []string{"base64url_nopad"}, nopad[:8] + "\r" + nopad[8:], signature.Malformed},
		{"either", "", false, []string{"hex", "base64"}, std, signature.Accepted},
		{"either, the first", "", false, []string{"base64", "hex"}, sig, signature.Accepted},
		{"with a prefix", "sha256=", false, []string{"hex"}, "sha256=" + sig, signature.Accepted},
		{"with a prefix in capitals", "sha256=", false, []string{"hex"}, "SHA256=" + sig, signature.Malformed},
		{"without its prefix", "sha256=", false, []string{"hex"}, sig, signature.Malformed},
		{"without an optional one", "sha256=", true, []string{"hex"}, sig, signature.Accepted},
		{"an optional prefix alone", "sha256=", true, []string{"raw"}, "sha256=", signature.Malformed},
		{"the prefix alone", "sha256=", false, []string{"hex"}, "sha256=", signature.Malformed},
		{"a part of the prefix", "sha256=", false, []string{"hex"}, "sha", signature.Malformed},
		{"a word in another case", "HMAC ", false, []string{"hex"}, "hmac " + sig, signature.Accepted},
		{"another word", "HMAC ", false, []string{"hex"}, "Other" + sig, signature.Malformed},
		{"blank", "", false, []string{"hex"}, "  ", signature.Missing},
	} {
		v := verifier(t, signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Query: "sig"}, Prefix: c.prefix,
			PrefixOptional: c.optional, Encodings: c.encodings, SignedContent: []string{"{body}"}})
		req := request("body")
		req.Query.Set("sig", c.text)
		if got := v.Verify(req, []signature.Key{key(t, v, secret)}, now); got.Reason != c.want || !got.OK() && got.Key != -1 {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	v := verifier(t, signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Query: "sig"}, Prefix: "v=",
		Encodings: []string{"hex", "base64"}, SignedContent: []string{"{body}"}})
	req := request("body")
	if got := v.Verify(req, nil, now); got.Reason != signature.Missing || got.Detail != "query parameter sig is missing, empty or repeated" {
		t.Errorf("no signature: %+v", got)
	}
	req.Query.Set("sig", "%")
	if got := v.Verify(req, nil, now); got.Detail != `query parameter sig is not "v=" and then hex or base64` {
		t.Errorf("a signature without its prefix: %+v", got)
	}
}

// TestSecretInTheURLIsFoundAnywhere: in a parameter of any name, or at the end of the
// path.
func TestSecretInTheURLIsFoundAnywhere(t *testing.T) {
	for address, want := range map[string]bool{
		"https://h.example/in/tok-1":       true,
		"https://h.example/in/tok-1/":      true,
		"https://h.example/in/tok-1?a=b":   true,
		"https://h.example/in?x=tok-1":     true,
		"https://h.example/in?a=1&a=tok-1": true,
		"https://h.example/tok-1/in":       false,
		"https://tok-1.example/":           false,
		"https://h.example/in":             false,
	} {
		v := verifier(t, signature.Scheme{Algorithm: "static-token", From: signature.Place{URL: true}, Encodings: []string{"raw"}})
		req := request("body")
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		req.PublicURL, req.Query = address, u.Query()
		if got := v.Verify(req, []signature.Key{key(t, v, "tok-1")}, now); got.OK() != want {
			t.Errorf("%s: %+v", address, got)
		}
	}
}

// TestSignatureMayBeInOneOfSeveralHeaders, also in numbered ones.
func TestSignatureMayBeInOneOfSeveralHeaders(t *testing.T) {
	v := verifier(t, signature.Scheme{Algorithm: "static-token", From: signature.Place{Headers: []string{"x-a", "x-sig-#"}},
		Encodings: []string{"raw"}})
	for name, want := range map[string]bool{"X-A": true, "X-Sig-1": true, "X-Sig-100": true, "X-Sig-0": false, "X-Sig-101": false,
		"X-B": false} {
		req := request("body")
		req.Header.Set(name, "tok")
		if got := v.Verify(req, []signature.Key{key(t, v, "tok")}, now); got.OK() != want || v.Applies(req) != want {
			t.Errorf("%s: %+v, applies %t", name, got, v.Applies(req))
		}
	}
	if got := v.Verify(request("body"), nil, now); !strings.Contains(got.Detail, "header X-A (or a similar one)") {
		t.Errorf("no header: %s", got.Detail)
	}
}

func TestPlacesHaveReadableNames(t *testing.T) {
	for want, p := range map[string]signature.Place{
		"header X-A": {Header: "X-A"}, "header X-B": {Headers: []string{"X-B"}},
		"header X-B (or a similar one)": {Headers: []string{"X-B", "X-C"}},
		"query parameter q":             {Query: "q"}, "form field f": {Form: "f"}, "body field a.b": {JSON: "a.b"}, "the body": {Body: true},
		"the secret in the URL": {URL: true}, "body element a/b": {XML: "a/b"}, "field t": {Field: "t"},
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestParametersSelectPlaces: a scheme with parameters leaves the one that it was made of as it was.
func TestParametersSelectPlaces(t *testing.T) {
	s := signature.Scheme{From: signature.Place{Header: "X-{param:a}-{param:b}-{param:none}"},
		Timestamp: &signature.Timestamp{From: signature.Place{Query: "t{param:a}"}},
		Require:   []signature.Requirement{{Place: signature.Place{Header: "{param:a}{param:open"}}}}
	got := s.WithParams(map[string]string{"a": "1", "b": "2"})
	if got.From.Header != "X-1-2-" || got.Timestamp.From.Query != "t1" || got.Require[0].Place.Header != "1{param:open" {
		t.Errorf("%+v, %+v, %+v", got.From, got.Timestamp, got.Require)
	}
	if s.From.Header == got.From.Header || s.Timestamp.From.Query != "t{param:a}" || s.Require[0].Place.Header != "{param:a}{param:open" {
		t.Errorf("the original has changed: %+v", s)
	}
}

// TestSchemeReportsItsKindOfCredential: what stands in logs is cut only if it lets its reader send.
func TestSchemeReportsItsKindOfCredential(t *testing.T) {
	for algorithm, want := range map[string][2]bool{ // asymmetric, secret
		"hmac-sha256": {false, false}, "sha256": {false, false}, "static-token": {false, true}, "basic-auth": {false, true},
		"ed25519": {true, false}, "ecdsa-p256-sha256": {true, false}, "ecdsa-sha1": {true, false}, "rsa-sha1": {true, false},
		"rsa-sha256": {true, false}, "jwt HS256": {false, true}, "jwt RS256": {true, true},
	} {
		name, alg, _ := strings.Cut(algorithm, " ")
		s := signature.Scheme{Algorithm: name}
		if alg != "" {
			s.JWT = &signature.JWT{Algorithms: []string{alg}}
		}
		v := verifier(t, s)
		if got := [2]bool{v.Asymmetric(), v.Secret()}; got != want {
			t.Errorf("%s: %v, want %v", algorithm, got, want)
		}
	}
	if s := (signature.Scheme{Algorithm: "jwt"}); s.Asymmetric() {
		t.Error("a token without algorithms is asymmetric")
	}
}

func TestSchemeErrorsGiveTheReason(t *testing.T) {
	for want, s := range map[string]signature.Scheme{
		`algorithm "x" is not known`: {Algorithm: "x"}, "needs jwt:": {Algorithm: "jwt"},
		"require: ":        {Algorithm: "static-token", Require: []signature.Requirement{{Want: []string{"{x}"}}}},
		"signed_content: ": {Algorithm: "hmac-sha1", SignedContent: []string{"{x}"}},
		"parse.select: ":   {Algorithm: "hmac-sha1", Parse: signature.Parse{Select: "{x}"}},
		"jwt.claims.a: ": {Algorithm: "jwt", JWT: &signature.JWT{Algorithms: []string{"HS256"},
			Claims: []signature.Claim{{Name: "a", Want: []string{"{x}"}}}}},
	} {
		if _, err := signature.Compile(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// TestRequirementsHoldBesideTheSignature: a topic, a version, a hash in the query.
func TestRequirementsHoldBesideTheSignature(t *testing.T) {
	version := func(ifSet bool, want ...string) signature.Requirement {
		return signature.Requirement{Place: signature.Place{Header: "x-version"}, Want: want, IfSet: ifSet}
	}
	for _, c := range []struct {
		name    string
		require []signature.Requirement
		header  string
		want    signature.Reason
	}{
		{"as it must be", []signature.Requirement{version(false, "2")}, "2", signature.Accepted},
		{"one of several", []signature.Requirement{version(false, "1", "2")}, "2", signature.Accepted},
		{"another", []signature.Requirement{version(false, "1", "2")}, "3", signature.Unmet},
		{"absent", []signature.Requirement{version(false, "1")}, "", signature.Unmet},
		{"the second does not hold", []signature.Requirement{version(false, "2"), version(false, "3")}, "2", signature.Unmet},
		{"a parameter that is not set", []signature.Requirement{version(false, "{param:v}")}, "2", signature.Unmet},
		{"a parameter that need not be set", []signature.Requirement{version(true, "{param:v}")}, "2", signature.Accepted},
		{"neither it nor the header", []signature.Requirement{version(true, "{param:v}")}, "", signature.Accepted},
		{"an empty template", []signature.Requirement{version(true, "{header:X-Empty}")}, "2", signature.Accepted},
		{"a parameter that is set", []signature.Requirement{version(true, "{param:set}")}, "2", signature.Unmet},
	} {
		v := verifier(t, signature.Scheme{Algorithm: "static-token", From: signature.Place{Header: "X-Token"}, Encodings: []string{"raw"},
			Require: c.require})
		req := request("body")
		req.Header.Set("X-Token", "tok")
		req.Header.Set("X-Empty", "")
		req.Params = map[string]string{"set": "9"}
		if c.header != "" {
			req.Header.Set("X-Version", c.header)
		}
		got := v.Verify(req, []signature.Key{key(t, v, "tok")}, now)
		if got.Reason != c.want || got.Reason == signature.Unmet && got.Detail != "header X-Version is not what it must be" {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestBodyIsHeldToItsFormat where what is signed could be a challenge.
func TestBodyIsHeldToItsFormat(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct {
		form, body string
		want       bool
	}{
		{"json", `{"a":1}`, true}, {"json", ` [] `, true}, {"json", "{}", true}, {"json", "5", false}, {"json", `"a"`, false},
		{"json", "{", false}, {"json", "{}x", false}, {"json", "", false},
		{"base64_xml", b64("<a/>"), true}, {"base64_xml", b64(" <a>x</a>\n"), true}, {"base64_xml", b64("<a>long</a>")[:8] + "\r\n" +
			b64("<a>long</a>")[8:], true},
		{"base64_xml", b64("<a>"), false}, {"base64_xml", b64("x<a/>"), false}, {"base64_xml", b64("<!DOCTYPE a><a/>"), false},
		{"base64_xml", b64("<!-- a -->"), false}, {"base64_xml", b64("<a/"), false}, {"base64_xml", "<a/>", false}, {"", "x", true},
	} {
		v := verifier(t, signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"},
			SignedContent: []string{"{body}"}, Body: c.form})
		req := request(c.body)
		req.Header.Set("X-S", hexOf(t, c.body))
		got := v.Verify(req, []signature.Key{key(t, v, secret)}, now)
		if got.OK() != c.want || !got.OK() && got.Reason != signature.Unmet {
			t.Errorf("%s %q: %+v", c.form, c.body, got)
		}
	}
}

// TestEachElementOfAListIsVerified: one that is not refuses them all, and an empty list proves nothing.
func TestEachElementOfAListIsVerified(t *testing.T) {
	v := verifier(t, signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{JSON: "sig"}, Encodings: []string{"hex"},
		SignedContent: []string{"{json:id}"}, Each: "items"})
	type item map[string]string
	good := func(id string) item { return item{"id": id, "sig": hexOf(t, id)} }
	with := func(items ...item) *signature.Request {
		req := request("body")
		req.Each = func(path string) (out []func(string) (string, bool)) {
			for _, x := range items {
				if path == "items" {
					out = append(out, func(p string) (string, bool) { s, ok := x[p]; return s, ok })
				}
			}
			return out
		}
		return req
	}
	k := []signature.Key{key(t, v, secret)}
	for _, c := range []struct {
		name    string
		req     *signature.Request
		want    signature.Reason
		detail  string
		applies bool
	}{
		{"two", with(good("a"), good("b")), signature.Accepted, "", true},
		{"the second is forged", with(good("a"), item{"id": "c", "sig": hexOf(t, "b")}), signature.Wrong, "element 1 of items: ", true},
		{"the first is forged", with(item{"id": "c", "sig": hexOf(t, "b")}, good("a")), signature.Wrong, "element 0 of items: ", true},
		{"no signature", with(item{"id": "a"}), signature.Missing, "element 0 of items: ", true},
		{"none", with(), signature.Missing, "nothing is proved", false},
		{"no list", request("body"), signature.Missing, "items is missing", false},
		{"2000 of them", with(slices.Repeat([]item{good("a")}, 2000)...), signature.Accepted, "", true},
		{"2001 of them", with(slices.Repeat([]item{good("a")}, 2001)...), signature.Malformed, "more than 2000", true},
	} {
		got := v.Verify(c.req, k, now)
		if got.Reason != c.want || !strings.Contains(got.Detail, c.detail) || v.Applies(c.req) != c.applies {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	// What was signed is told from another list, and is the same for the same one.
	digest := func(req *signature.Request) [32]byte {
		got := v.Verify(req, k, now)
		sum, moment, ok := v.Signed(req, &got)
		if !ok || !moment {
			t.Fatalf("%+v: %t %t", got, moment, ok)
		}
		return sum
	}
	two := digest(with(good("a"), good("b")))
	for name, other := range map[string]*signature.Request{"one of them": with(good("a")), "another order": with(good("b"), good("a")),
		"joined": with(good("ab"))} {
		if digest(other) == two {
			t.Errorf("%s has the same digest", name)
		}
	}
	if digest(with(good("a"), good("b"))) != two {
		t.Error("the same list has another digest")
	}
}

// TestHTTPSignaturesCoverTheBody: the lines are those of draft-cavage-http-signatures-12, 2.3, and the
// digest must be among them.
func TestHTTPSignaturesCoverTheBody(t *testing.T) {
	parse := signature.Parse{Format: "kv_list", Separator: ",", SignatureKeys: []string{"signature"}}
	v := verifier(t, signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "Signature"}, Encodings: []string{"hex"},
		SignedContent: []string{"{http_signature:signature}"}, Parse: parse})
	for _, c := range []struct {
		name, headers, content string
		address                string
		want                   bool
	}{
		{"all", "(request-target) Host  date digest",
			"(request-target): post /in?a=1\nhost: hooks.example.com\ndate: today\ndigest: d", "", true},
		{"the digest alone", "digest", "digest: d", "", true},
		{"another order", "digest date", "digest: d\ndate: today", "", true},
		{"no digest", "(request-target) host date", "(request-target): post /in?a=1\nhost: hooks.example.com\ndate: today", "", false},
		{"a header that is absent", "digest x-none", "digest: d\nx-none: ", "", false},
		{"no list", "", "digest: d", "", false},
		{"4096 bytes of list", strings.Repeat(" ", 4090) + "digest", "digest: d", "", true},
		{"4097 bytes of list", strings.Repeat(" ", 4091) + "digest", "digest: d", "", false},
		{"an address that is none", "digest", "digest: d", "https://[", false},
		// A signature of nothing proves nothing.
		{"nothing, without a list", "", "", "", false}, {"nothing, over an absent header", "digest x-none", "", "", false},
		{"nothing, over a long list", strings.Repeat(" ", 4091) + "digest", "", "", false},
		{"nothing, at an address that is none", "digest", "", "https://[", false},
	} {
		req := request("body")
		req.PublicURL = "https://hooks.example.com/in?a=1"
		if c.address != "" {
			req.PublicURL = c.address
		}
		req.Header = http.Header{"Date": {"today"}, "Digest": {" d "}}
		text := `signature="` + hexOf(t, c.content) + `"`
		if c.headers != "" {
			text = `headers="` + c.headers + `",` + text
		}
		req.Header.Set("Signature", text)
		if got := v.Verify(req, []signature.Key{key(t, v, secret)}, now); got.OK() != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestJSONIsEscaped: braces that are no variables are doubled, and letters beyond ASCII are written as
// PHP and Python do.
func TestJSONIsEscaped(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": "{kid}", "b": [1]}`: `{{"a": "{kid}", "b": [[1]]}}`,
		"{param:x|lower}{}":        "{param:x|lower}{{}}",
		"":                         "",
	} {
		if got := signature.EscapeJSON(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"a\x7f": "a\x7f", "\u0080é": `\u0080\u00e9`, "\uffff": `\uffff`, "\U00010000": `\ud800\udc00`} {
		if got := string(signature.EscapeNonASCII([]byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
