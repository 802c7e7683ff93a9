package engine

import (
	"time"
)

// AuditEntry is an action of a person in the console or the API.
type AuditEntry struct {
	ID int64     `json:"id"`
	At time.Time `json:"at"`
	// Who is the given name; with a shared token it is not proved.
	Who string `json:"who"`
	// Role is view or operate; Remote the caller's address.
	Role string `json:"role"`
	// Proof is what the caller presented: token, session, link (signed, for the name in Who), or
	// none on loopback without tokens.
	Proof  string `json:"proof,omitempty"`
	Remote string `json:"remote"`
	// Action is a name such as run.replay; Target is the id or name of its object.
	Action string `json:"action"`
	Target string `json:"target"`
	// Status is the HTTP status of the response.
	Status int `json:"status"`
	// Detail is what was requested: the options of the order, the verdict, the reason.
	Detail string `json:"detail,omitempty"`
}

// Switch is a workflow that a person has switched off.
type Switch struct {
	Workflow string
	By       string
	At       time.Time
	State    SwitchState
}
