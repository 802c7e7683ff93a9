package engine

import (
	"strings"
)

// Proof is how a webhook's delivery was verified, with the name of the secret used. Empty means
// that nothing is recorded.
type Proof string

// How a delivery is verified.
const (
	// BySignature proves the sender and the body.
	BySignature = "signature"
	// ByToken proves the sender, as long as nobody else has the token, and not the body.
	ByToken = "token"
	// BySender proves the sender by a signature that does not cover the body.
	BySender = "sender"
	// ByCertificate proves the sender by a TLS client certificate.
	ByCertificate = "certificate"
	// NoProof is a trigger with auth: none.
	NoProof = "none"
)

// ProofOf makes a proof. secret is the name of the secret; empty if the provider's own key was
// used.
func ProofOf(how, secret string) Proof {
	if secret == "" {
		return Proof(how)
	}
	return Proof(how + " " + secret)
}

// Words describes what is proved, and how, for an event that arrived by an inlet.
func (p Proof) Words(inlet Inlet) string {
	how, secret, _ := strings.Cut(string(p), " ")
	with := ""
	if secret != "" {
		with = " with " + secret
	}
	switch {
	case how == BySignature:
		return "sender and body, by a signature" + with
	case how == ByToken:
		return "the sender only, by a token" + with + "; the body is not signed"
	case how == BySender:
		return "the sender, by a signature" + with + " that does not cover the whole body"
	case how == ByCertificate:
		return "the sender only, by its TLS client certificate"
	case how == NoProof:
		return "nothing: the trigger has auth: none, so anyone can send this"
	case inlet.Kind().Outside:
		return "not recorded"
	}
	return "not needed: it arrived by " + string(inlet) + ", not from outside"
}
