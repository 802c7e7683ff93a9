package triggers_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"testing"
	"time"
)

// stripeHeaderText signs by Stripe's layout with a text as the key.
func stripeHeaderText(secret string, body []byte) string {
	return stripeHeaderBytes([]byte(secret), body)
}

// stripeHeader does so with the bytes that a base64 text stands for.
func stripeHeader(t testing.TB, secret string, body []byte) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return stripeHeaderBytes(key, body)
}

func stripeHeaderBytes(key, body []byte) string {
	now := time.Now().Unix()
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%d.%s", now, body)
	return fmt.Sprintf("t=%d,v1=%x", now, h.Sum(nil))
}

func hexHMACSHA1(secret string, body []byte) string {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

func base64HMAC256(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// newPipe is a body that never comes.
func newPipe() (io.Reader, io.Closer) { return io.Pipe() }

// counted is a body that counts what was read of it.
type counted struct{ left int }

func (c *counted) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), c.left)
	c.left -= n
	return n, nil
}
