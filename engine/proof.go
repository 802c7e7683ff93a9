package engine

import (
	"strings"
)

// Proof says what showed that a webhook's delivery is genuine: how, and the name of the
// secret that did. Empty means that nothing is on record.
type Proof string

// How a delivery is proved.
const (
	// BySignature proves the sender and the body.
	BySignature = "signature"
	// ByToken proves the sender, as far as nobody else has the token, and no body.
	ByToken = "token"
	// BySender proves the sender by a signature that the body is no part of.
	BySender = "sender"
	// ByCertificate proves the sender by a TLS client certificate.
	ByCertificate = "certificate"
	// NoProof is a trigger with auth: none.
	NoProof = "none"
)

// ProofOf makes a proof. secret is the name of the secret; empty where the provider's own
// key was used.
func ProofOf(how, secret string) Proof {
	if secret == "" {
		return Proof(how)
	}
	return Proof(how + " " + secret)
}

// Words says what is proved, and by what, of an event that came by an inlet.
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
		return "not on record"
	}
	return "not needed: it came by " + string(inlet) + ", not from outside"
}
