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
func TestFieldsAreMaskedAtAnyDepthWhereABodyCannotBeTakenApart(t *testing.T) {
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
