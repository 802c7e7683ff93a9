package secrets

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// TestBech32HasTheValuesOfItsStandard: BIP 173, "Test vectors", in upper case.
func TestBech32HasTheValuesOfItsStandard(t *testing.T) {
	for _, c := range []struct{ prefix, data, want string }{
		{"a", "", "A12UEL5L"}, {"A", "", "A12UEL5L"},
		{"abcdef", "00443214c74254b635cf84653a56d7c675be77df", "ABCDEF1QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LMQQQXW"},
		{"ABCDEF", "00443214c74254b635cf84653a56d7c675be77df", "ABCDEF1QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LMQQQXW"},
		{"an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio", "",
			"AN83CHARACTERLONGHUMANREADABLEPARTTHATCONTAINSTHENUMBER1ANDTHEEXCLUDEDCHARACTERSBIO1TT5TGS"},
	} {
		data, err := hex.DecodeString(c.data)
		if err != nil {
			t.Fatal(err)
		}
		if got := bech32(c.prefix, data); got != c.want {
			t.Errorf("%s of %q is %s, want %s", c.prefix, c.data, got, c.want)
		}
	}
	// The last digit of data that ends within five bits is filled with zeros.
	if got := bech32("x", []byte{0xff}); !strings.HasPrefix(got, "X1LU") {
		t.Errorf("one byte is %s", got)
	}
}

// TestAProgramsOutputIsReadUpToItsLimit: what has just that size is kept, and a byte more ends the program.
func TestAProgramsOutputIsReadUpToItsLimit(t *testing.T) {
	ended := 0
	w := &bounded{most: 4, full: func() { ended++ }}
	for i, c := range []struct {
		text, has string
		over      bool
	}{{"ab", "ab", false}, {"cd", "abcd", false}, {"", "abcd", false}, {"e", "abcd", true}} {
		n, err := w.Write([]byte(c.text))
		if w.b.String() != c.has || w.over != c.over || (err != nil) != c.over || (ended == 1) != c.over || !c.over && n != len(c.text) {
			t.Errorf("%d: %d %v, it has %q, over %t", i, n, err, w.b.String(), w.over)
		}
	}
}

// TestTheEncryptedFileIsNotReplacedIfItCannotBeRead: it may be another one than was edited.
func TestTheEncryptedFileIsNotReplacedIfItCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOOKLOOM_KEY", strings.Repeat("k", 43))
	path := filepath.Join(dir, workflows.SecretFileName)
	put(t, path, strings.Repeat("x", maxEnvFile+1))
	if err := WriteFile(dir, []byte("A=1\n"), nil); err == nil {
		t.Error("a file that is too large to read is replaced")
	}
	if b, err := os.ReadFile(path); err != nil || len(b) != maxEnvFile+1 {
		t.Errorf("it has %d bytes, %v", len(b), err)
	}
}
