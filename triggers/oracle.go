package triggers

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// A handshake with compute signs a text of an unverified caller with the secret that
// verifies deliveries. So challenges have a strict form, and a delivery whose signed
// content has that form is refused: the handshake could have made its signature.

// defaultChallenge is the form of a challenge if a custom scheme names none.
const defaultChallenge = `[A-Za-z0-9_-]{8,256}`

// challengeForm returns the pattern that a challenge must match; empty if the computed
// value verifies nothing at this trigger.
func challengeForm(c *workflows.Compute) string {
	if c.Matches == "" && strings.HasPrefix(c.Algorithm, "hmac-") {
		return defaultChallenge
	}
	return c.Matches
}

// answerable returns why a handshake of the trigger could have signed the content of a
// delivery; "" if it could not.
func (r *route) answerable(p *proof, in *inbound) string {
	for _, h := range r.handshakes {
		if h.Compute == nil || h.matches == nil || h.Compute.Algorithm != p.verifier.Algorithm {
			continue
		}
		for _, text := range p.verifier.SignedTexts(&in.request, longestChallenge) {
			if h.matches.Match(text) {
				return fmt.Sprintf("the signed text has the form of a handshake challenge (%.80s), which this trigger answers for anybody",
					h.Compute.Message)
			}
		}
	}
	return ""
}
