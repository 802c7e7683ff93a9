package engine

import "time"

// RefusalGroup is the refused deliveries of one trigger that have one reason.
type RefusalGroup struct {
	Trigger string `json:"trigger"`
	Reason  string `json:"reason"`
	Count   int    `json:"count"`
	// Admitted is how many of them became events later.
	Admitted int       `json:"admitted,omitempty"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	// Share is their share of all deliveries of the trigger since the first of them; 1 if it
	// took none.
	Share float64 `json:"share"`
	// Diagnosis is that of the last one: what would have made it genuine.
	Diagnosis string `json:"diagnosis,omitempty"`
}
