package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file defines the values that steps store for later runs: store/get, store/set, store/delete
// and store/increment. A write is stored in one transaction with the idempotency key of its step,
// so that an attempt repeated after a crash gets the result of the first.

// The limits of stored values.
const (
	// MaxValueKey is the longest key, in bytes.
	MaxValueKey = 256
	// MaxKeptValue is the largest size of one value, as JSON, in bytes.
	MaxKeptValue = 64 << 10
	// MaxKeptKeys and MaxKeptBytes limit all values of a project, with their keys.
	MaxKeptKeys  = 100_000
	MaxKeptBytes = 64 << 20
)

// ValueRef identifies a stored value: of a workflow or, with an empty Workflow, of the project.
type ValueRef struct{ Workflow, Key string }

// The kinds of changes of a stored value.
const (
	ValueSet       = "set"
	ValueDelete    = "delete"
	ValueIncrement = "increment"
)

// ValueChange is one write.
type ValueChange struct {
	ValueRef
	// Op is the idempotency key: a repeated write with the same key changes nothing and returns the
	// first result. Empty for a person's write.
	Op  string
	Run RunID
	// By is the writer: a run's id, or a person's name.
	By   string
	Kind string
	// Value is the JSON of ValueSet; Add is what ValueIncrement adds.
	Value string
	Add   int64
	// TTL is how long the value is stored; 0 until it is deleted.
	TTL time.Duration
	// Expect is the JSON that the current value must equal, "null" for no value; empty for no
	// check.
	Expect string
	Now    time.Time
	// MaxKeys and MaxBytes limit all values.
	MaxKeys, MaxBytes int64
}

// ValueNext is the result of a write.
type ValueNext struct {
	// Value is the new value; with Gone there is none.
	Value string
	Gone  bool
	// Expires replaces the old expiry, zero for never; with KeepEnd the expiry is unchanged.
	Expires time.Time
	KeepEnd bool
	// Result is the step's output.
	Result string
	// Refused is why nothing was changed.
	Refused *plan.Error
}

// Apply computes the result of a write; current is the current value, valid only if found is true.
func (c ValueChange) Apply(current string, found bool) ValueNext {
	if !found {
		current = "null"
	}
	if c.Expect != "" && c.Expect != current {
		return ValueNext{Refused: &plan.Error{Code: "conflict",
			Message: fmt.Sprintf("%s: expected %s, found %s", c.named(), orNothing(c.Expect), orNothing(current)),
			Details: map[string]any{"value": decodedJSON(current)}}}
	}
	var end time.Time
	if c.TTL > 0 {
		end = c.Now.Add(c.TTL)
	}
	switch c.Kind {
	case ValueDelete:
		return ValueNext{Gone: true, Result: current}
	case ValueIncrement:
		if !found {
			current = "0"
		}
		old, whole := new(big.Int).SetString(current, 10)
		if !whole {
			return ValueNext{Refused: &plan.Error{Code: "not_a_number",
				Message: fmt.Sprintf("%s is %s, but only whole numbers can be incremented", c.named(), clipped(current))}}
		}
		sum := old.Add(old, big.NewInt(c.Add))
		if !sum.IsInt64() {
			return ValueNext{Refused: &plan.Error{Code: "too_large", Message: fmt.Sprintf("%s: the sum does not fit into 64 bits", c.named())}}
		}
		return ValueNext{Value: sum.String(), Result: sum.String(), Expires: end, KeepEnd: found}
	}
	return ValueNext{Value: c.Value, Result: c.Value, Expires: end}
}

func (c ValueChange) named() string {
	if c.Workflow == "" {
		return fmt.Sprintf("the project's key %q", c.Key)
	}
	return fmt.Sprintf("key %q", c.Key)
}

func orNothing(s string) string {
	if s == "null" {
		return "nothing"
	}
	return clipped(s)
}

func clipped(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "..."
	}
	return s
}

func decodedJSON(s string) any {
	v, err := value.DecodeJSON([]byte(s))
	if err != nil {
		return s
	}
	return v
}

// ReadValueChange parses the inputs of a store/ action.
func ReadValueChange(kind string, with map[string]any) (ValueChange, error) {
	c := ValueChange{Kind: kind, Add: 1}
	refused := func(format string, args ...any) (ValueChange, error) {
		return c, &plan.Error{Code: "invalid_input", Message: fmt.Sprintf(format, args...)}
	}
	var err error
	if c.Key, err = value.Text(with["key"]); err != nil {
		return refused("key: %v", err)
	}
	for name, to := range map[string]*string{"value": &c.Value, "expect": &c.Expect} {
		v, given := with[name]
		if !given && (name == "expect" || kind != ValueSet) {
			continue
		}
		b, err := value.EncodeJSON(v)
		if err != nil {
			return refused("%s: %v", name, err)
		}
		*to = string(b)
	}
	switch by := with["by"].(type) {
	case nil:
	case int:
		c.Add = int64(by)
	default:
		return refused("by must be a whole number")
	}
	if t := with["ttl"]; t != nil {
		text, err := value.Text(t)
		if err == nil {
			c.TTL, err = workflows.ParseDuration(text)
		}
		if err != nil || c.TTL <= 0 {
			return refused("ttl %v is not a duration longer than 0: write 30s, 1h or 7d", t)
		}
	}
	return c, nil
}

// Check returns an error for keys and values that exceed their limits, or in which redact finds a
// secret.
func (c ValueChange) Check(redact func(string) string) error {
	switch {
	case c.Key == "":
		return &plan.Error{Code: "invalid_input", Message: "key is empty"}
	case len(c.Key) > MaxValueKey:
		return &plan.Error{Code: "too_large",
			Message: fmt.Sprintf("key has %d bytes, at most %d are allowed; use sha256(...) for long values", len(c.Key), MaxValueKey)}
	case len(c.Value) > MaxKeptValue:
		return &plan.Error{Code: "too_large",
			Message: fmt.Sprintf("the value has %d bytes, at most %s are allowed; store less data, or split it over several keys",
				len(c.Value), workflows.SizeText(MaxKeptValue))}
	case c.Kind == ValueSet && c.Value == "null":
		return &plan.Error{Code: "invalid_input", Message: "value is null; store/delete removes a key"}
	case redact != nil && (redact(c.Key) != c.Key || redact(c.Value) != c.Value):
		return &plan.Error{Code: "secret",
			Message: "key or value contains a secret or a credential, which must not be stored: use ${{ secrets.NAME }} where it is needed"}
	}
	return nil
}

// ValueItem is a stored value as shown to people.
type ValueItem struct {
	// Workflow is empty for values of the project.
	Workflow  string          `json:"workflow,omitempty"`
	Key       string          `json:"key"`
	Value     json.RawMessage `json:"value"`
	ExpiresAt *time.Time      `json:"expires_at,omitempty"`
	UpdatedAt time.Time       `json:"updated_at"`
	// UpdatedBy is a run's id or a person's name.
	UpdatedBy string `json:"updated_by"`
}

// ValueQuery selects stored values, by workflow and key.
type ValueQuery struct {
	// Workflow filters by workflow, Project selects the project's values; Q filters by a text in
	// the key.
	Workflow string
	Project  bool
	Q        string
	After    ValueRef
	Limit    int
	Now      time.Time
}

// Inside is what steps may do in the engine itself.
type Inside interface {
	// Value reads a stored value of the run's workflow, or of the project.
	Value(ctx context.Context, project bool, key string) (v any, found bool, err error)
	// ChangeValue writes a value, once for all attempts of a step.
	ChangeValue(ctx context.Context, in Input, project bool, c ValueChange) (any, error)
	// Emit emits an event into a trigger, once for all attempts of a step.
	Emit(ctx context.Context, in Input, o Emission) (any, error)
	// AnswerRun answers a question of another run's step.
	AnswerRun(ctx context.Context, run string, response Response) (any, error)
}

// ChangeValueIn applies a person's change of a value.
func ChangeValueIn(ctx context.Context, s ValueStore, c ValueChange, redact func(string) string) (ValueNext, error) {
	if err := c.Check(redact); err != nil {
		return ValueNext{}, err
	}
	c.Now, c.MaxKeys, c.MaxBytes = time.Now(), MaxKeptKeys, MaxKeptBytes
	next, err := s.ChangeValue(ctx, c)
	if err == nil && next.Refused != nil {
		err = next.Refused
	}
	return next, err
}

// Token is the position of a value in lists, from which the next page continues.
func (r ValueRef) Token() string {
	return base64.RawURLEncoding.EncodeToString([]byte(r.Workflow + "\x00" + r.Key))
}

// ParseValueToken parses it; empty is the beginning.
func ParseValueToken(s string) (ValueRef, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	workflow, key, found := strings.Cut(string(b), "\x00")
	if s != "" && (err != nil || !found) {
		return ValueRef{}, fmt.Errorf("%w: after must be the next of the previous page", ErrQuery)
	}
	return ValueRef{workflow, key}, nil
}
