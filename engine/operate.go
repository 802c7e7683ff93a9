package engine

import (
	"time"
)

// AuditEntry is one thing that a person did by the console or the API.
type AuditEntry struct {
	ID int64     `json:"id"`
	At time.Time `json:"at"`
	// Who is the name that was given; with a shared token it is a word, not a proof.
	Who string `json:"who"`
	// Role is view or operate; Remote the caller's address.
	Role string `json:"role"`
	// Proof is what the caller showed: token, session, link (signed, for the name in
	// Who), or none on loopback without tokens.
	Proof  string `json:"proof,omitempty"`
	Remote string `json:"remote"`
	// Action is such as run.replay; Target the id or name that it was about.
	Action string `json:"action"`
	Target string `json:"target"`
	// Status is the HTTP status that answered it.
	Status int `json:"status"`
	// Detail is what was asked for: the options of the order, the verdict, the reason.
	Detail string `json:"detail,omitempty"`
}

// Switch is a workflow that a person has switched off.
type Switch struct {
	Workflow string
	By       string
	At       time.Time
	State    SwitchState
}
