package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
)

// Where the list is that split names nobody can tell when it is not there.
func TestFieldsAreMaskedAtAnyDepthIfABodyCannotBeParsed(t *testing.T) {
	path, err := workflows.ParseRedactPath("event.data.iban")
	if err != nil {
		t.Fatal(err)
	}
	g := &Registry{}
	g.project.Store(&Snapshot{Project: &workflows.Project{}, fields: redact.NewFields([]workflows.RedactPath{path}, nil)})
	d := &engine.Delivery{Headers: map[string]string{"content-type": "application/json"}, Raw: []byte(`{"evts":[{"iban":"DE89"}]}`)}
	d.NotReadable(errors.New("split: body.events gave no list"))
	if g.MaskEvent(d); strings.Contains(string(d.Raw), "DE89") {
		t.Errorf("%s is stored", d.Raw)
	}
}

// TestSecretsInABodyAreMaskedInItsForm: in JSON also as JSON writes them, in other bodies as they are.
// Without a match, the body stays as it came, to the byte.
func TestSecretsInABodyAreMaskedInItsForm(t *testing.T) {
	path, err := workflows.ParseRedactPath("event.data.iban")
	if err != nil {
		t.Fatal(err)
	}
	r := &redact.Redactor{}
	r.Set([]string{`tok"en-0123456789`})
	masked := redact.NewFields([]workflows.RedactPath{path}, nil)
	for name, c := range map[string]struct {
		snapshot   *Snapshot
		kind, body string
		want       string
	}{
		"JSON":                {nil, "application/json", `{"t":"tok\"en-0123456789"}`, `{"t":"***"}`},
		"JSON without a type": {nil, "", `{"t":"tok\"en-0123456789"}`, `{"t":"***"}`},
		"text":                {nil, "text/plain", `a tok"en-0123456789 b`, `a *** b`},
		"a form": {nil, "application/x-www-form-urlencoded; charset=iso-8859-1", "t=tok\"en-0123456789&a=\xe9",
			"t=***&a=\xe9"},
		"parts":     {nil, "multipart/form-data; boundary=b; charset=iso-8859-1", "--b \xe9 tok\"en-0123456789", "--b \xe9 ***"},
		"no secret": {nil, "application/json", `{"t": 1.50}`, `{"t": 1.50}`},
		"no fields": {&Snapshot{Project: &workflows.Project{}}, "application/json", `{"iban":"DE89"}`, `{"iban":"DE89"}`},
		"a field": {&Snapshot{Project: &workflows.Project{}, fields: masked}, "application/json", `{"iban":"DE89"}`,
			`{"iban":"***"}`},
		"nothing": {&Snapshot{Project: &workflows.Project{}, fields: masked}, "application/json", ``, ``},
	} {
		g := &Registry{o: Options{Redactor: r}}
		if c.snapshot != nil {
			g.project.Store(c.snapshot)
		}
		d := &engine.Delivery{Headers: map[string]string{"content-type": c.kind}, Raw: []byte(c.body), Body: "decoded", Decoded: true,
			Text: c.body, DataExpr: "body"}
		g.MaskEvent(d)
		if string(d.Raw) != c.want {
			t.Errorf("%s: %s, expected %s", name, d.Raw, c.want)
		}
		if changed := c.want != c.body; d.Decoded == changed {
			t.Errorf("%s: decoded is %t", name, d.Decoded)
		}
		if d.Text != "" && d.Text != c.want {
			t.Errorf("%s: the text is still %s", name, d.Text)
		}
	}
}

// TestRefusedBodyIsKeptMaskedAndOriginal: the signature covers the original. Without a match it is kept once.
func TestRefusedBodyIsKeptMaskedAndOriginal(t *testing.T) {
	path, err := workflows.ParseRedactPath("event.data.iban")
	if err != nil {
		t.Fatal(err)
	}
	fields := redact.NewFields([]workflows.RedactPath{path}, nil)
	for name, c := range map[string]struct {
		snapshot          *Snapshot
		body, want, whole string
	}{
		"no project": {nil, `{"iban":"DE89"}`, `{"iban":"DE89"}`, ""},
		"no fields":  {&Snapshot{}, `{"iban":"DE89"}`, `{"iban":"DE89"}`, ""},
		"no body":    {&Snapshot{fields: fields}, ``, ``, ""},
		"no match":   {&Snapshot{fields: fields}, `{"a":1}`, `{"a":1}`, ""},
		"a match":    {&Snapshot{fields: fields}, `{"iban":"DE89"}`, `{"iban":"***"}`, `{"iban":"DE89"}`},
		"as long":    {&Snapshot{fields: fields}, `{"iban":"abc"}`, `{"iban":"***"}`, `{"iban":"abc"}`},
	} {
		g := &Registry{}
		if c.snapshot != nil {
			g.project.Store(c.snapshot)
		}
		r := &engine.Refusal{Headers: map[string]string{"content-type": "application/json"}, Body: []byte(c.body)}
		if g.MaskRefusal(r); string(r.Body) != c.want || string(r.Whole) != c.whole {
			t.Errorf("%s: %s, whole %q", name, r.Body, r.Whole)
		}
	}
}

// TestOnlyEventsOfARulesTypesEndRuns: cancel_on with events: leaves runs alone when another event comes.
func TestOnlyEventsOfARulesTypesEndRuns(t *testing.T) {
	g := &Registry{o: Options{Redactor: &redact.Redactor{}}}
	g.project.Store(&Snapshot{Project: &workflows.Project{}})
	g.AddCancelRules(&workflows.Workflow{Version: "v", CancelOn: []workflows.CancelOn{{Trigger: "t", Events: []string{"paid", "order.*"}}}})
	for kind, want := range map[string]bool{"paid": true, "order.closed": true, "made": false} {
		ev := &engine.Event{Delivery: engine.Delivery{Trigger: "t", Key: "k", Type: kind}}
		if got := g.CancelsOf(ev, nil); (len(got) > 0) != want {
			t.Errorf("%s: %+v", kind, got)
		}
	}
}
