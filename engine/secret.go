package engine

import (
	"fmt"
	"time"
)

// quietSecret is how long an old secret must be unused, while another is used, before it can be
// dropped: longer than most providers repeat a delivery (Stripe 3 days, Svix 28 hours).
const quietSecret = 72 * time.Hour

// SecretState is a secret of a trigger and its use.
type SecretState struct {
	Secret string     `json:"secret"`
	Count  int64      `json:"count"`
	LastAt *time.Time `json:"last_at"`
	// Advice is empty, or says that the secret is safe to remove.
	Advice string `json:"advice,omitempty"`
}

// SecretStates returns, for each of a trigger's secrets, how often and when it last verified a
// delivery, and whether an old one can be dropped.
func SecretStates(trigger string, names []string, uses []SecretUse, now time.Time) []SecretState {
	var newest, began time.Time
	byName := map[string]SecretUse{}
	for _, u := range uses {
		if u.Trigger != trigger {
			continue
		}
		byName[u.Secret] = u
		if u.LastAt.After(newest) {
			newest, began = u.LastAt, u.FirstAt
		}
	}
	out := []SecretState{}
	for _, n := range names {
		s := SecretState{Secret: n}
		u, used := byName[n]
		if used {
			s.Count, s.LastAt = u.Count, &u.LastAt
		}
		switch {
		case len(names) < 2 || newest.IsZero() || used && u.LastAt.Equal(newest):
		case used && newest.Sub(u.LastAt) >= quietSecret:
			s.Advice = fmt.Sprintf("safe to remove: not used for %d days, while another secret was", int(now.Sub(u.LastAt).Hours()/24))
		case !used && newest.Sub(began) >= quietSecret:
			s.Advice = "safe to remove: never used, while another secret has been used for days"
		}
		out = append(out, s)
	}
	return out
}
