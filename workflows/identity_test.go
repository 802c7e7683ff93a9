package workflows

import "testing"

func TestSchemeSignsTheTimeIfMoreThanTheBodyIsSigned(t *testing.T) {
	for text, want := range map[string]bool{
		"algorithm: hmac-sha256\n  signature: {from: {header: X}, encoding: hex}":                                              false,
		"algorithm: hmac-sha256\n  signature: {from: {header: X}, encoding: hex}\n  signed_content: '{callback_url}{body}'":    false,
		"algorithm: hmac-sha256\n  signature: {from: {header: X}, encoding: hex}\n  signed_content: '{body}.{header:x-nonce}'": true,
		"algorithm: hmac-sha256\n  signature: {from: {header: X}, encoding: hex}\n  signed_content: '{form:payload}'":          false,
		"algorithm: hmac-sha256\n  signature: {from: {header: X}, encoding: hex}\n  timestamp: {from: {header: T}, unit: " +
			"unix_s}\n  signed_content: '{timestamp}{body}'": true,
		"algorithm: hmac-sha256\n  signature: {from: {header: X}, encoding: hex}\n  " +
			"signed_content: '{body}{json:id}'\n  single_use: false": false,
		"algorithm: static-token\n  signature: {from: {header: X}, encoding: raw}":                                              false,
		"algorithm: jwt\n  signature: {from: {header: X}, encoding: jws_compact}\n  jwt: {algorithms: [RS256], present: [exp]}": false,
		"algorithm: jwt\n  signature: {from: {header: X}, encoding: jws_compact}\n  jwt: {algorithms: [HS256], hashes: " +
			"{body: {of: '{body}', encoding: hex}}}": true,
		"algorithm: static-token\n  signature: {from: {header: X}, encoding: raw}\n  single_use: true": true,
	} {
		p, err := ParsePreset("x.yaml",
			[]byte("provider: x\ntitle: X\ncategory: c\nconfidence: verified\nsources: [s]\nsecret: s\nsetup: [a]\nretries: "+
				"{signed: first, window: 8h, source: \"https://x.example\"}\nverify:\n- variant: v\n  "+text+"\nsample: {body: {}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Verify[0].SignsMoment(false); got != want {
			t.Errorf("%s\nsigns the moment: %v, want %v", text, got, want)
		}
		if p.Retries.Signed != "first" || p.Retries.Window.Hours() != 8 || p.Retries.Source != "https://x.example" {
			t.Errorf("retries are %+v", p.Retries)
		}
	}
}
