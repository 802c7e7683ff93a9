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
	// ExplainSecret says why a secret has no value, and what to do about it; nil says what
	// is true of every project.
	ExplainSecret func(name string) (problem, hint string)
	// Recorded returns the data of events that a trigger has received, of the given types, or
	// of any for none; nil where no history is looked at. What expressions read is checked
	// against it.
	Recorded func(trigger string, types []string) []any
}

// ActionSpec is what one action accepts, said once: the checker, did-you-mean,
// the schema, help and redaction all read it.
type ActionSpec struct {
	Name   string
	Help   string
	Inputs []ActionInput
	// SideEffects reports whether it acts outside of this process: it gets an attempt on
	// record before it acts, and is mocked in tests.
	SideEffects bool
	// SafeMethods reports whether the input "method" decides whether it can be
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

// ConfidenceConfirmed facts were read in the service's documents. ConfidenceMemory facts were
// not: people are told so.
const (
	ConfidenceConfirmed = "confirmed"
	ConfidenceMemory    = "memory"
)

// Confidence is how sure the facts of an action are. Built-in actions follow standards and are
// confirmed.
func (s *ActionSpec) Confidence() string {
	if s.Action == nil {
		return ConfidenceConfirmed
	}
	return s.Action.Confidence
}

// RepeatText says what is repeated where a step has no retry: of its own.
func (s *ActionSpec) RepeatText() string {
	tries := func(n int) string { return fmt.Sprintf("up to %d times", n) }
	switch {
	case s.Retry != nil && s.Retry.OnlyUndone:
		why := ", only if the service cannot have acted"
		if s.Action != nil {
			why += " (idempotency: none)"
		}
		return tries(s.Retry.Max) + why
	case s.Retry != nil:
		return tries(s.Retry.Max)
	case s.Safe:
		return tries(DefaultRetry().Max)
	case s.SafeMethods:
		return tries(DefaultRetry().Max) + ", with GET, HEAD, PUT and DELETE"
	}
	return "no, except for an attempt that got no response (on_unknown)"
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
	{Name: "idempotency_key", Type: "string", Help: "the idempotency key, for services that support one; the run's own by default",
		Fill: FillNonempty},
	{Name: MaxItemsInput, Type: "integer", Help: "the maximum number of items to read"},
}

// MaxItemsInput is the common input of actions that read a list page by page.
const MaxItemsInput = "max_items"

// Common reports whether an input of that name is the one that every action of a connector
// takes.
func (s *ActionSpec) Common(name string) bool {
	if s.Action == nil || name == MaxItemsInput && s.Action.Pages == nil {
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
	// Options are the values that a connector allows; empty for all. Of are the types
	// inside of a list or an object; nil where they are not known.
	Options []any
	Of      *DataType
	// Secret values are kept as *** on record.
	Secret bool
	// Kept values are stored in the clear, so that no secret may be in them.
	Kept bool
	// Literal is set for code, such as SQL: it is written out, since data in it would be
	// run. The text says where data goes instead.
	Literal string
	// Parse says what is wrong with a text that is written out, such as a program; nil for
	// no check.
	Parse func(string) error
}

// Connector is one service described as data (docs/connectors.md).
type Connector struct {
	Name, Title, Description, Docs string
	// Confidence is how sure the facts are: ConfidenceConfirmed or ConfidenceMemory.
	Confidence string
	BaseURL    *Value
	Fields     []ConnectionField
	Auth       *Auth
	// Headers and Query are those of every request; they read connection.
	Headers, Query *Value
	// IdempotencyHeader carries the key of a step; "none" sends none.
	IdempotencyHeader string
	// IdempotencyQuery is the query parameter that carries it; empty for none.
	IdempotencyQuery string
	// Expired are the answers that mean that a token is no longer valid.
	Expired *Expired
	// Errors say what other refusals mean; nil leaves it to the status.
	Errors *ConnectorErrors
	// Test is the path of a cheap GET that tells whether a connection works.
	Test    string
	Retry   *Retry
	Timeout time.Duration
	// Limit bounds what is sent to its service.
	Limit   Limit
	Actions []*ConnectorAction
	// Text is the file that it was read from, and Version that of the text. Both are empty
	// for what a built-in action needs of a connection.
	Text    []byte
	Version string
}

// ConnectionField is one credential or setting a connector needs.
type ConnectionField struct {
	Name, Type, Description string
	Secret, Required        bool
	Default                 any
	// Options are the values that are allowed; empty for all.
	Options []any
}

// ConnectorAction is one action of a connector.
type ConnectorAction struct {
	Name, Description, Docs string
	Deprecated              bool
	// Confidence is that of this action's facts; the connector's by default.
	Confidence     string
	Inputs         []Input
	Method         string
	Path           *Value
	Query, Headers *Value
	// At most one of the bodies is set.
	Body, Form, Multipart, Text, RawFile *Value
	// Parse is how the answer is read: auto, json, text or base64.
	Parse string
	// Pages reads a list page by page; nil for one request.
	Pages  *ConnectorPages
	Output *Value
	// Returns are the types of the output; nil where they are not declared.
	Returns *DataType
	// Check holds the output to a JSON Schema; nil for none.
	Check *SchemaCheck
	Fail  []FailRule
	// FormStyle is how form and query write lists and maps.
	FormStyle string
	// Already are the answers that mean that what was to be made is there.
	Already []AlreadyRule
	// Idempotency is what the service does with the same request again: natural (it
	// changes nothing), key (it honours its idempotency header), none (it acts again), or
	// empty when the file does not say.
	Idempotency string
	// Example is an output; Call is the call that gives it, as far as the file shows one.
	Example any
	Call    ActionExample
}

// SchemaCheck is what of an output is held to which JSON Schema.
type SchemaCheck struct{ Value, Schema *Expr }

// ConnectorPages is how an action reads a list.
type ConnectorPages struct {
	Paging
	// Items gives the list in one answer, Total how many items all of them have; nil where no
	// answer says so.
	Items, Total *Expr
	// Max is how many pages one call reads at most, MaxItems how many items.
	Max, MaxItems int
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
