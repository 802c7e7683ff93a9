package intake

import (
	"reflect"
	"testing"

	"github.com/hookloom/hookloom/engine/redact"
)

// TestResponseToASenderContainsNoSecret that a service echoed, in any form in which the
// engine sends one; numbers and the order of all else stay as they are.
func TestResponseToASenderContainsNoSecret(t *testing.T) {
	r := &redact.Redactor{}
	r.Set([]string{"secretPassw0rd2"})
	in := &Intake{o: Options{Redactor: r}}
	for _, c := range []struct{ output, want any }{
		{map[string]any{"auth": "Bearer secretPassw0rd2", "n": 1.5}, map[string]any{"auth": "Bearer ***", "n": 1.5}},
		{"Basic Ym9iOnNlY3JldFBhc3N3MHJkMg==", "Basic Ym9iOn***"},
		{map[string]any{"id": 9007199254740993}, map[string]any{"id": 9007199254740993}},
		{nil, nil},
	} {
		got, err := in.forSender(c.output)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %v, %v", c.output, got, err)
		}
	}
}
