package signature_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
)

// Example: a scheme is data: it says which bytes are signed and where signature and timestamp are.
// Sign adds them to a request, Verify checks them.
func Example() {
	v, err := signature.Compile(signature.Scheme{
		Algorithm:     "hmac-sha256",
		From:          signature.Place{Header: "X-Signature"},
		Prefix:        "sha256=",
		Encodings:     []string{"hex"},
		Timestamp:     &signature.Timestamp{From: signature.Place{Header: "X-Time"}, Unit: "unix_s", Tolerance: 5 * time.Minute},
		SignedContent: []string{"{timestamp}.{body}"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := v.NewKey("a shared secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Unix(1_700_000_000, 0)
	req := &signature.Request{Method: "POST", Header: http.Header{}, Body: []byte(`{"id":1}`)}
	if _, err := v.Sign(req, key, now); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(req.Header.Get("X-Time"))
	fmt.Println(v.Verify(req, []signature.Key{key}, now).OK())

	req.Body = []byte(`{"id":2}`)
	fmt.Println(v.Verify(req, []signature.Key{key}, now).Reason)
	// Output:
	// 1700000000
	// true
	// signature does not match
}

// ExampleStandard: standard is the scheme of Standard Webhooks.
func ExampleStandard() {
	v, err := signature.Compile(signature.Standard())
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := v.NewKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		fmt.Println(err)
		return
	}
	// The body and the id are those of the specification's example.
	req := &signature.Request{Method: "POST", Header: http.Header{"Webhook-Id": {"msg_p5jXN8AQM9LWM0D4loKWxJek"}},
		Body: []byte(`{"test": 2432232314}`)}
	if _, err := v.Sign(req, key, time.Unix(1_614_265_330, 0)); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(req.Header.Get("webhook-signature"))
	// Output: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=
}
