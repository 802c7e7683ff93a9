package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// TestResultOfAWrite: a write that is refused changes nothing and
// says what it found.
func TestResultOfAWrite(t *testing.T) {
	t.Parallel()
	type (
		change = engine.ValueChange
		next   = engine.ValueNext
	)
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	long := `"` + strings.Repeat("x", 200) + `"`
	for name, c := range map[string]struct {
		change  engine.ValueChange
		current string // nothing is stored when it is empty
		want    engine.ValueNext
		code    string
		message string
	}{
		"set": {change{Kind: engine.ValueSet, Value: "1"}, "", next{Value: "1", Result: "1"}, "", ""},
		"set for an hour": {change{Kind: engine.ValueSet, Value: "1", TTL: time.Hour}, "2",
			next{Value: "1", Result: "1", Expires: now.Add(time.Hour)}, "", ""},
		"delete":            {change{Kind: engine.ValueDelete}, "2", next{Gone: true, Result: "2"}, "", ""},
		"delete of nothing": {change{Kind: engine.ValueDelete}, "", next{Gone: true, Result: "null"}, "", ""},
		"increment":         {change{Kind: engine.ValueIncrement, Add: 3}, "4", next{Value: "7", Result: "7", KeepEnd: true}, "", ""},
		"decrement":         {change{Kind: engine.ValueIncrement, Add: -5}, "4", next{Value: "-1", Result: "-1", KeepEnd: true}, "", ""},
		"increment of nothing, for an hour": {change{Kind: engine.ValueIncrement, Add: 1, TTL: time.Hour}, "",
			next{Value: "1", Result: "1", Expires: now.Add(time.Hour)}, "", ""},
		"increment of a text": {change{Kind: engine.ValueIncrement, Add: 1}, `"12"`, next{}, "not_a_number",
			`the project's key "k" is "12", but`},
		"increment of a long text": {change{Kind: engine.ValueIncrement, Add: 1}, long, next{}, "not_a_number",
			`is ` + long[:100] + `..., but`},
		"increment of hexadecimal digits": {change{Kind: engine.ValueIncrement, Add: 1}, "1a", next{}, "not_a_number", "1a"},
		"to the largest number": {change{Kind: engine.ValueIncrement, Add: 1}, "9223372036854775806",
			next{Value: "9223372036854775807", Result: "9223372036854775807", KeepEnd: true}, "", ""},
		"beyond the largest number": {change{ValueRef: engine.ValueRef{Workflow: "w"}, Kind: engine.ValueIncrement, Add: 1},
			"9223372036854775807",
			next{}, "too_large", `key "k": the sum does not fit into 64 bits`},
		"as expected":          {change{Kind: engine.ValueSet, Value: "1", Expect: "2"}, "2", next{Value: "1", Result: "1"}, "", ""},
		"nothing, as expected": {change{Kind: engine.ValueSet, Value: "1", Expect: "null"}, "", next{Value: "1", Result: "1"}, "", ""},
		"another than expected": {change{Kind: engine.ValueSet, Value: "1", Expect: "2"}, "3", next{}, "conflict",
			`the project's key "k": expected 2, found 3`},
		"nothing, and 2 expected": {change{Kind: engine.ValueSet, Value: "1", Expect: "2"}, "", next{}, "conflict",
			"expected 2, found nothing"},
		"3, and nothing expected": {change{Kind: engine.ValueDelete, Expect: "null"}, "3", next{}, "conflict", "expected nothing, found 3"},
	} {
		c.change.Key, c.change.Now = "k", now
		got := c.change.Apply(c.current, c.current != "")
		refused := got.Refused
		got.Refused = nil
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if (refused != nil) != (c.code != "") || refused != nil && (refused.Code != c.code || !strings.Contains(refused.Message, c.message)) {
			t.Errorf("%s: refused %+v", name, refused)
		}
	}
	refused := change{Kind: engine.ValueSet, Value: "1", Expect: "2"}.Apply(`{"a":3}`, true).Refused
	if got := fmt.Sprint(refused.Details.(map[string]any)["value"]); got != "map[a:3]" {
		t.Errorf("the error has the value %s", got)
	}
}

// TestAStoredValueIsBounded and holds no secret.
func TestAStoredValueIsBounded(t *testing.T) {
	t.Parallel()
	secret := func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }
	none := func(s string) string { return s }
	key := func(n int) string { return strings.Repeat("k", n) }
	for name, c := range map[string]struct {
		key, value string
		kind       string
		redact     func(string) string
		code       string
	}{
		"a value":               {"k", "1", engine.ValueSet, none, ""},
		"no key":                {"", "1", engine.ValueSet, none, "invalid_input"},
		"the longest key":       {key(256), "1", engine.ValueSet, none, ""},
		"a longer key":          {key(257), "1", engine.ValueSet, none, "too_large"},
		"the largest value":     {"k", key(64 << 10), engine.ValueSet, none, ""},
		"a larger value":        {"k", key(64<<10 + 1), engine.ValueSet, none, "too_large"},
		"null":                  {"k", "null", engine.ValueSet, none, "invalid_input"},
		"a delete":              {"k", "null", engine.ValueDelete, none, ""},
		"a secret in the key":   {"x hunter2", "1", engine.ValueSet, secret, "secret"},
		"a secret in the value": {"k", `"hunter2"`, engine.ValueSet, secret, "secret"},
		"no secret":             {"k", `"hunter3"`, engine.ValueSet, secret, ""},
		"nothing to mask by":    {"k", `"hunter2"`, engine.ValueSet, nil, ""},
	} {
		err := engine.ValueChange{ValueRef: engine.ValueRef{Key: c.key}, Kind: c.kind, Value: c.value}.Check(c.redact)
		var failed *plan.Error
		if (err != nil) != (c.code != "") || err != nil && (!errors.As(err, &failed) || failed.Code != c.code) {
			t.Errorf("%s: %v", name, err)
		} else if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the message has the secret", name)
		}
	}
}

// TestStoreActionInputs become one change, or an error that says what is wrong.
func TestStoreActionInputs(t *testing.T) {
	t.Parallel()
	type (
		change = engine.ValueChange
		inputs = map[string]any
	)
	for name, c := range map[string]struct {
		kind string
		with map[string]any
		want engine.ValueChange
		err  string
	}{
		"set": {engine.ValueSet, inputs{"key": "k", "value": map[string]any{"a": 1}},
			change{Value: `{"a":1}`, Add: 1}, ""},
		"set without a value": {engine.ValueSet, inputs{"key": "k"}, change{Value: "null", Add: 1}, ""},
		"delete":              {engine.ValueDelete, inputs{"key": "k"}, change{Add: 1}, ""},
		"with what to expect": {engine.ValueDelete, inputs{"key": "k", "expect": nil}, change{Add: 1, Expect: "null"}, ""},
		"increment":           {engine.ValueIncrement, inputs{"key": "k"}, change{Add: 1}, ""},
		"increment by":        {engine.ValueIncrement, inputs{"key": "k", "by": -2}, change{Add: -2}, ""},
		"increment by a half": {engine.ValueIncrement, inputs{"key": "k", "by": 0.5}, change{}, "by must be a whole number"},
		"a number as key":     {engine.ValueDelete, inputs{"key": 7}, change{ValueRef: engine.ValueRef{Key: "7"}, Add: 1}, ""},
		"no text as key":      {engine.ValueDelete, inputs{"key": func() {}}, change{}, "key: "},
		"no JSON":             {engine.ValueSet, inputs{"key": "k", "value": func() {}}, change{}, "value: "},
		"for a while": {engine.ValueSet, inputs{"key": "k", "value": 1, "ttl": "7d"},
			change{Value: "1", Add: 1, TTL: 7 * 24 * time.Hour}, ""},
		"for no time": {engine.ValueSet, inputs{"key": "k", "value": 1, "ttl": "0s"}, change{},
			"ttl 0s is not a duration longer than 0"},
		"for no duration":      {engine.ValueSet, inputs{"key": "k", "value": 1, "ttl": "soon"}, change{}, "ttl soon is not a duration"},
		"for a list of things": {engine.ValueSet, inputs{"key": "k", "value": 1, "ttl": []any{1}}, change{}, "is not a duration"},
	} {
		got, err := engine.ReadValueChange(c.kind, c.with)
		var failed *plan.Error
		if c.err != "" {
			if !errors.As(err, &failed) || failed.Code != "invalid_input" || !strings.Contains(failed.Message, c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		c.want.Kind = c.kind
		if c.want.Key == "" {
			c.want.Key = "k"
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

// values is a ValueStore that notes the change that it gets.
type values struct {
	engine.ValueStore
	got  []engine.ValueChange
	next engine.ValueNext
	err  error
}

func (v *values) ChangeValue(_ context.Context, c engine.ValueChange) (engine.ValueNext, error) {
	v.got = append(v.got, c)
	return v.next, v.err
}

// TestManualChangeOfAValueHasTheLimitsOfAStep: it is checked before the store is asked, and what
// the store refuses is an error.
func TestManualChangeOfAValueHasTheLimitsOfAStep(t *testing.T) {
	t.Parallel()
	refused, broken := &plan.Error{Code: "conflict", Message: "expected 1"}, errors.New("the disk is gone")
	for name, c := range map[string]struct {
		store values
		key   string
		asked int
		err   error
	}{
		"a change":                       {values{next: engine.ValueNext{Result: "1"}}, "k", 1, nil},
		"a key that is empty":            {values{}, "", 0, nil},
		"one that is refused":            {values{next: engine.ValueNext{Refused: refused}}, "k", 1, refused},
		"a store that fails":             {values{err: broken}, "k", 1, broken},
		"a store that fails and refuses": {values{err: broken, next: engine.ValueNext{Refused: refused}}, "k", 1, broken},
	} {
		next, err := engine.ChangeValueIn(t.Context(), &c.store, engine.ValueChange{ValueRef: engine.ValueRef{Key: c.key}, Kind: engine.ValueSet,
			Value: "1"}, nil)
		if len(c.store.got) != c.asked || (c.asked == 0) != (err != nil && c.err == nil) || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: asked %d times, %v", name, len(c.store.got), err)
		}
		if c.asked == 0 {
			continue
		}
		if got := c.store.got[0]; got.MaxKeys != 100_000 || got.MaxBytes != 64<<20 || time.Since(got.Now) > time.Minute || next != c.store.next {
			t.Errorf("%s: asked for %+v, got %+v", name, got, next)
		}
	}
}

func TestListOfValuesContinuesFromItsToken(t *testing.T) {
	t.Parallel()
	for _, ref := range []engine.ValueRef{{}, {Workflow: "w", Key: "k"}, {Key: "of the project"}, {Workflow: "w"}} {
		if got, err := engine.ParseValueToken(ref.Token()); err != nil || got != ref {
			t.Errorf("%+v: %+v, %v", ref, got, err)
		}
	}
	if got, err := engine.ParseValueToken(""); err != nil || got != (engine.ValueRef{}) {
		t.Errorf("the beginning: %+v, %v", got, err)
	}
	for _, token := range []string{"!", "YWJj"} { // no base64; no separator
		if _, err := engine.ParseValueToken(token); !errors.Is(err, engine.ErrQuery) {
			t.Errorf("%q: %v", token, err)
		}
	}
}
