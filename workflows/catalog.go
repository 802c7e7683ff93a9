package workflows

import (
	"fmt"
	"time"
)

// Catalog is everything a workflow may name that others offer: actions,
// provider presets, schedules. The checker asks it and so imports nobody.
type Catalog struct {
	// Actions by name, such as http/request. Connector files of the project are
	// added while it is loaded.
	Actions map[string]*ActionSpec
	// Presets of providers; nil for none.
	Presets Presets
	// CheckCron says what is wrong with a cron text, in the user's words; nil
	// accepts all.
	CheckCron func(cron string) error
	// ExplainCron says what surprises about a cron that is right; nil says nothing.
	ExplainCron func(cron string) []string
}

// ActionSpec is what one action accepts, said once: the checker, did-you-mean,
// the schema, help and redaction all read it.
type ActionSpec struct {
	Name   string
	Help   string
	Inputs []ActionInput
	// SideEffects tells that it acts outside of this process: it gets an attempt on
	// record before it acts, and is mocked in tests.
	SideEffects bool
	// SafeMethods tells that the input "method" decides whether it can be
	// repeated without harm; Safe that it always can.
	SafeMethods, Safe bool
	// Example is the output a test gets when it mocks nothing.
	Example any
	// Outputs are the fields of a built-in action's output; none where it has no fixed ones.
	Outputs []ActionOutput
	// Usage is a step that uses a built-in action, in YAML; with Config, what it needs in
	// hookloom.yaml. A test loads both.
	Usage, Config string
	// Connection is the kind of connection that a built-in action needs; nil for none.
	Connection *Connector
	// Retry and Timeout are a connector's defaults; nil and 0 leave the language's.
	Retry   *Retry
	Timeout time.Duration
	// Request and the rest are a connector's action as data; nil for built-in ones.
	Connector *Connector
	Action    *ConnectorAction
}

// Needs is the connector whose kind of connection the action needs, nil for none.
func (s *ActionSpec) Needs() *Connector {
	if s.Connector != nil {
		return s.Connector
	}
	return s.Connection
}

// RepeatText says what is repeated where a step has no retry: of its own.
func (s *ActionSpec) RepeatText() string {
	tries := func(n int) string { return fmt.Sprintf("up to %d times", n) }
	switch {
	case s.Retry != nil && s.Retry.OnlyUndone:
		return tries(s.Retry.Max) + ", when nothing was done"
	case s.Retry != nil:
		return tries(s.Retry.Max)
	case s.Safe:
		return tries(DefaultRetry().Max)
	case s.SafeMethods:
		return tries(DefaultRetry().Max) + ", with GET, HEAD, PUT and DELETE"
	}
	return "no, but for an attempt that got no answer (on_unknown)"
}

// ActionOutput is one field of an action's output. Type is string, integer, number,
// boolean, list, object or any.
type ActionOutput struct{ Name, Type, Help string }

// Input finds an input by name.
func (s *ActionSpec) Input(name string) *ActionInput {
	for i := range s.Inputs {
		if s.Inputs[i].Name == name {
			return &s.Inputs[i]
		}
	}
	return nil
}

// commonInputs are those that every action of a connector takes, unless it has an
// input of its own by that name.
var commonInputs = []ActionInput{
	{
		Name: "accept",
		Type: "any",
		Help: "further statuses that count as success, such as [200, 409]; the output is then {status, headers, body}",
	},
	{Name: "idempotency_key", Type: "string", Help: "Idempotency-Key; the run's own by default", Fill: FillNonempty},
}

// Common tells that an input of that name is the one that every action of a connector
// takes.
func (s *ActionSpec) Common(name string) bool {
	if s.Action == nil {
		return false
	}
	for _, in := range s.Action.Inputs {
		if in.Name == name {
			return false
		}
	}
	return true
}

// ActionInput is one key of a step's with.
type ActionInput struct {
	Name string
	// Type is string, integer, number, boolean, list, object, duration, size or any.
	Type     string
	Required bool
	Help     string
	Words    []string
	// Fill says how ${{ }} inside is inserted; FillURL also for request paths.
	Fill Fill
	// Default is used when the key is absent.
	Default any
	// Secret values are kept as *** on record.
	Secret bool
	// Kept values are stored in the clear, so that no secret may be in them.
	Kept bool
	// Literal is set for code, such as SQL: it is written out, since data in it would be
	// run. The text says where data goes instead.
	Literal string
}

// Connector is one service described as data (language.md 2.11).
type Connector struct {
	Name, Description string
	BaseURL           *Value
	Fields            []ConnectionField
	Auth              *Auth
	// Expired are the answers that mean that a token is no longer valid.
	Expired *Expired
	// Test is the path of a cheap GET that tells whether a connection works.
	Test    string
	Retry   *Retry
	Timeout time.Duration
	// Limit bounds what is sent to its service.
	Limit   Limit
	Actions []*ConnectorAction
}

// ConnectionField is one credential or setting a connector needs.
type ConnectionField struct {
	Name, Type, Description string
	Secret, Required        bool
	Default                 any
}

// ConnectorAction is one action of a connector.
type ConnectorAction struct {
	Name, Description string
	Inputs            []Input
	Method            string
	Path              *Value
	Query, Headers    *Value
	Body, Form        *Value
	Output            *Value
	Fail              []FailRule
	// FormStyle is how form and query write lists and maps.
	FormStyle string
	// Already are the answers that mean that what was to be made is there.
	Already []AlreadyRule
	// Idempotency is what the service does with the same request again: natural (it
	// changes nothing), key (it honours Idempotency-Key), none (it acts again), or empty
	// when the file does not say.
	Idempotency string
	Example     any
}

// AlreadyRule turns an answer into a success.
type AlreadyRule struct {
	When   *Expr
	Output *Value
}

// FailRule turns an answer into a failure with a code of its own.
type FailRule struct {
	When      *Expr
	Code      string
	Message   *Value
	Retryable bool
}
