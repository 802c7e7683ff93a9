package workflows

import (
	"fmt"
	"time"
)

// Catalog lists what other packages offer to workflows: actions, provider presets and schedules.
// The checker receives it, so that this package need not import them.
type Catalog struct {
	// Actions that steps may use. The loader adds those of the project's connector files.
	Actions *Actions
	// Presets of providers; nil for none.
	Presets Presets
	// CheckCron returns what is wrong with a cron expression; nil accepts all.
	CheckCron func(cron string) error
	// ExplainCron returns what may surprise about a valid cron expression; it may be nil.
	ExplainCron func(cron string) []string
	// ExplainSecret returns why a secret has no value and what to do about it; nil uses a text that
	// fits every project.
	ExplainSecret func(name string) (problem, hint string)
	// Recorded returns the data of events that a trigger received, of the given types, or of all
	// types if there are none. It is nil if no history is available. Expressions are checked
	// against the result.
	Recorded func(trigger string, types []string) []any
}

// ActionSpec describes what an action accepts. The checker, its suggestions, the JSON Schema, the
// help and redaction all read it.
type ActionSpec struct {
	Name   string
	Help   string
	Inputs []ActionInput
	// SideEffects reports whether the action acts outside this process: its attempt is recorded
	// before it starts, and tests mock it.
	SideEffects bool
	// SafeMethods reports whether the input "method" decides whether the action can safely be
	// repeated; Safe reports that it always can.
	SafeMethods, Safe bool
	// Example is the output that tests use if they mock nothing.
	Example any
	// Outputs are the fields of a built-in action's output; empty if they are not fixed.
	Outputs []ActionOutput
	// Usage is a YAML step that uses a built-in action, and Config the hookloom.yaml settings it
	// needs. A test loads both.
	Usage, Config string
	// Connection is the kind of connection that a built-in action needs; nil if it needs none.
	Connection *Connector
	// Retry and Timeout are a connector's defaults; nil and 0 keep the language's.
	Retry   *Retry
	Timeout time.Duration
	// Request and the fields below describe a connector's action; they are nil for built-in ones.
	Connector *Connector
	Action    *ConnectorAction
}

// Needs returns the connector that defines the action's connection; nil if the action needs none.
func (s *ActionSpec) Needs() *Connector {
	if s.Connector != nil {
		return s.Connector
	}
	return s.Connection
}

// ConfidenceConfirmed facts come from the service's documentation. ConfidenceMemory facts do not,
// and are shown as unconfirmed.
const (
	ConfidenceConfirmed = "confirmed"
	ConfidenceMemory    = "memory"
)

// Confidence returns how reliable the facts about an action are. Built-in actions follow standards
// and are confirmed.
func (s *ActionSpec) Confidence() string {
	if s.Action == nil {
		return ConfidenceConfirmed
	}
	return s.Action.Confidence
}

// RepeatText describes what is retried if a step has no retry key.
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

// commonInputs are accepted by every connector action that does not define an input of the same
// name.
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

// MaxItemsInput is the common input of actions that read a paginated list.
const MaxItemsInput = "max_items"

// Common reports whether the input is one of commonInputs, not the connector's own.
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

// ActionInput is one key of a step's with mapping.
type ActionInput struct {
	Name string
	// Type is string, integer, number, boolean, list, object, duration, size or any.
	Type     string
	Required bool
	Help     string
	Words    []string
	// Fill says how the values of ${{ }} are inserted; FillURL is for request paths too.
	Fill Fill
	// Default is used when the key is absent.
	Default any
	// Options are the values that a connector allows; empty allows all. Of is the type of the
	// elements or fields; nil if not known.
	Options []any
	Of      *DataType
	// Secret values are recorded as ***.
	Secret bool
	// Kept values are stored in clear text, so they must not contain secrets.
	Kept bool
	// Literal is set for code such as SQL, which must not contain expressions: inserted data would
	// be executed. The text says how to pass data instead.
	Literal string
	// Parse returns what is wrong with a constant text, such as a program; nil skips the check.
	Parse func(string) error
}

// Connector describes a service (docs/connectors.md).
type Connector struct {
	Name, Title, Description, Docs string
	// Confidence is ConfidenceConfirmed or ConfidenceMemory.
	Confidence string
	BaseURL    *Value
	Fields     []ConnectionField
	Auth       *Auth
	// Headers and Query are sent with every request; their expressions may read connection.
	Headers, Query *Value
	// IdempotencyHeader is the header that carries a step's idempotency key; "none" sends none.
	IdempotencyHeader string
	// IdempotencyQuery is the query parameter that carries the key; empty for none.
	IdempotencyQuery string
	// Expired describes the responses that mean that a token is no longer valid.
	Expired *Expired
	// Errors classifies other error responses; nil uses the status alone.
	Errors *ConnectorErrors
	// Test is the path of a cheap GET request that shows whether a connection works.
	Test    string
	Retry   *Retry
	Timeout time.Duration
	// Limit limits requests to the service.
	Limit   Limit
	Actions []*ConnectorAction
	// Text is the file's content and Version its version. Both are empty for the connection of a
	// built-in action.
	Text    []byte
	Version string
}

// ConnectionField is a credential or setting that a connector needs.
type ConnectionField struct {
	Name, Type, Description string
	Secret, Required        bool
	Default                 any
	// Options are the allowed values; empty allows all.
	Options []any
}

// ConnectorAction is one action of a connector.
type ConnectorAction struct {
	Name, Description, Docs string
	Deprecated              bool
	// Confidence is for this action's facts; it defaults to the connector's.
	Confidence     string
	Inputs         []Input
	Method         string
	Path           *Value
	Query, Headers *Value
	// At most one of these is set.
	Body, Form, Multipart, Text, RawFile *Value
	// Parse says how the response body is parsed: auto, json, text or base64.
	Parse string
	// Pages describes pagination; nil for a single request.
	Pages  *ConnectorPages
	Output *Value
	// Returns is the type of the output; nil if not declared.
	Returns *DataType
	// Check validates the output against a JSON Schema; nil for no validation.
	Check *SchemaCheck
	Fail  []FailRule
	// FormStyle says how form and query encode lists and maps.
	FormStyle string
	// Already are the responses that mean that the resource exists already, which counts as
	// success.
	Already []AlreadyRule
	// Idempotency says what the service does if a request is repeated: natural (nothing changes),
	// key (it honours its idempotency header), none (it acts again). It is empty if the file does
	// not say.
	Idempotency string
	// Example is an output; Call is the request and response that give it, as far as the file shows
	// them.
	Example any
	Call    ActionExample
}

// SchemaCheck names the value to validate and its JSON Schema.
type SchemaCheck struct{ Value, Schema *Expr }

// ConnectorPages says how an action reads a paginated list.
type ConnectorPages struct {
	Paging
	// Items selects the list in a response, Total the number of items in all pages; Total is nil if
	// the response does not contain it.
	Items, Total *Expr
	// Max and MaxItems limit the pages and items that one call reads.
	Max, MaxItems int
}

// AlreadyRule turns an error response into a success.
type AlreadyRule struct {
	When   *Expr
	Output *Value
}

// FailRule turns a response into a failure with its own code.
type FailRule struct {
	When      *Expr
	Code      string
	Message   *Value
	Retryable bool
}
