package triggers_test

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

// TestRequestSpanIsReportedAfterTheEventIsStored: with its route, its status and its event, and not at
// all when the delivery was refused.
func TestRequestSpanIsReportedAfterTheEventIsStored(t *testing.T) {
	var got []engine.ServedRequest
	h, err := triggers.NewHooks(&memory{events: map[string]engine.EventID{}}, slog.New(slog.DiscardHandler), triggers.Deps{
		Served: func(r engine.ServedRequest) { got = append(got, r) }})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	use, err := h.Prepare(load(t, `triggers: {shop: {webhook: {auth: {bearer: "${{ secrets.T }}"}, key: body.id, path: /in}}}`), lookup)
	if err != nil {
		t.Fatal(err)
	}
	use()
	for _, token := range []string{"wrong", secrets["T"]} {
		post(h, "POST", "http://hooks.example.com/in?x=1", http.Header{"Authorization": {"Bearer " + token},
			"Content-Type": {"application/json"}}, []byte(`{"id":1}`))
	}
	if len(got) != 1 {
		t.Fatalf("%d requests are reported", len(got))
	}
	r := got[0]
	if r.Trigger != "shop" || r.Method != "POST" || r.Route != "/in" || r.Path != "/in" || r.Status != http.StatusAccepted ||
		len(r.Events) != 1 || r.URL != "http://hooks.example.com/in?x=1" || r.ReceivedAt.IsZero() {
		t.Errorf("%+v", r)
	}
}
