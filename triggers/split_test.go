package triggers_test

import (
	"fmt"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

// TestListElementHasItsOwnKey: a provider may group what it repeats anew.
// Of two requests that share an element, each element is one event.
func TestListElementHasItsOwnKey(t *testing.T) {
	for _, x := range []struct{ provider, split, first, second string }{
		{"fastspring", "", `{"events":[{"id":"E1","type":"a"},{"id":"E2","type":"b"}]}`,
			`{"events":[{"id":"E2","type":"b"},{"id":"E3","type":"c"}]}`},
		{"gocardless", "split: body.events,", `{"events":[{"id":"E1","resource_type":"x","action":"a"},{"id":"E2","resource_type":"x",` +
			`"action":"b"}],"meta":{"webhook_id":"WB1"}}`,
			`{"events":[{"id":"E2","resource_type":"x","action":"b"},{"id":"E3","resource_type":"x","action":"c"}],"meta":{"webhook_id":"WB2"}}`},
		{"klaviyo", "split: body.data,", `{"data":[{"topic":"a","external_id":"1"},{"topic":"b","external_id":"1"}]}`,
			`{"data":[{"topic":"b","external_id":"1"},{"topic":"c","external_id":"1"}]}`},
		{"asana", "split: body.events,", `{"events":[{"action":"a","created_at":"t","resource":{"gid":"1"}},{"action":"b","created_at":"t",` +
			`"resource":{"gid":"1"}}]}`,
			`{"events":[{"action":"b","created_at":"t","resource":{"gid":"1"}},{"action":"c","created_at":"t","resource":{"gid":"1"}}]}`},
		{"hubspot", "split: body,", `[{"eventId":1,"objectId":1,"subscriptionType":"a"},{"eventId":2,"objectId":1,"subscriptionType":"b"}]`,
			`[{"eventId":2,"objectId":1,"subscriptionType":"b"},{"eventId":3,"objectId":1,"subscriptionType":"c"}]`},
		{"auth0", "split: body,", `[{"log_id":"1","data":{"type":"a"}},{"log_id":"2","data":{"type":"b"}}]`,
			`[{"log_id":"2","data":{"type":"b"}},{"log_id":"3","data":{"type":"c"}}]`},
		{"hubspot", "split: body, key: item.eventId,", `[{"eventId":1,"subscriptionType":"a"},{"eventId":2,"subscriptionType":"b"}]`,
			`[{"eventId":2,"subscriptionType":"b"},{"eventId":3,"subscriptionType":"c"}]`},
		{"tailscale", "split: body,", `[{"timestamp":"t","type":"a","data":{}},{"timestamp":"t","type":"b","data":{}}]`,
			`[{"timestamp":"t","type":"b","data":{}},{"timestamp":"t","type":"c","data":{}}]`},
		{"quickbooks", "split: body,", `[{"id":"1","type":"a"},{"id":"2","type":"b"}]`, `[{"id":"2","type":"b"},{"id":"3","type":"c"}]`},
		{"line", "split: body.events,", `{"events":[{"webhookEventId":"1","type":"a"},{"webhookEventId":"2","type":"b"}]}`,
			`{"events":[{"webhookEventId":"2","type":"b"},{"webhookEventId":"3","type":"c"}]}`},
		{"okta", "split: body.data.events,", `{"eventId":"L1","data":{"events":[{"uuid":"1","eventType":"a"},{"uuid":"2","eventType":"b"}]}}`,
			`{"eventId":"L2","data":{"events":[{"uuid":"2","eventType":"b"},{"uuid":"3","eventType":"c"}]}}`},
		{"mandrill", "split: fromJSON(body.mandrill_events),", "mandrill_events=" + url.QueryEscape(`[{"event":"a","_id":"1"},`+
			`{"event":"b","_id":"1"}]`), "mandrill_events=" + url.QueryEscape(`[{"event":"b","_id":"1"},{"event":"c","_id":"1"}]`)},
		{"xero", "split: body.events,", `{"events":[{"resourceId":"1","eventCategory":"x","eventType":"a"},{"resourceId":"1",` +
			`"eventCategory":"x","eventType":"b"}]}`,
			`{"events":[{"resourceId":"1","eventCategory":"x","eventType":"b"},{"resourceId":"1","eventCategory":"x","eventType":"c"}]}`},
	} {
		p := load(t, fmt.Sprintf("triggers:\n  t: {webhook: {provider: %s, %s secret: \"${{ secrets.T }}\"}}\n", x.provider, x.split))
		m := &memory{events: map[string]engine.EventID{}}
		h := hooks(t, p, m)
		for _, body := range []string{x.first, x.second} {
			s, err := triggers.Sample(p, "t", lookup, triggers.SampleOrder{Body: []byte(body), Base: "http://example.com"})
			if err != nil {
				t.Fatal(err)
			}
			if w := post(h, s.Method, s.Path, s.Header, s.Body); w.Code/100 != 2 {
				t.Errorf("%s: %d %s", x.provider, w.Code, w.Body)
			}
		}
		var kinds []string
		for _, d := range m.taken {
			kinds = append(kinds, d.Type[strings.LastIndex(d.Type, ".")+1:])
		}
		if got := strings.Join(kinds, " "); got != "a b c" {
			t.Errorf("%s: events %s: %v", x.provider, got, m.events)
		}
	}
}

// TestElementsOfAListWithOneIDAreSeparateEvents: where only the list has an id, each element
// is an event with its own type, and a repetition of the list brings none.
func TestElementsOfAListWithOneIDAreSeparateEvents(t *testing.T) {
	for _, x := range []struct{ provider, header, body string }{
		{"sparkpost", "X-MessageSystems-Batch-ID", `[{"msys":{"e":{"type":"a"}}},{"msys":{"e":{"type":"b"}}},{"msys":{"e":{"type":"b"}}}]`},
		{"pandadoc", "X-PandaDoc-Webhook-Event-Id", `[{"event":"a","data":{"id":"1"}},{"event":"b","data":{"id":"1"}},` +
			`{"event":"b","data":{"id":"1"}}]`},
	} {
		p := load(t, fmt.Sprintf("triggers:\n  t: {webhook: {provider: %s, split: body, secret: \"${{ secrets.T }}\"}}\n", x.provider))
		m := &memory{events: map[string]engine.EventID{}}
		h := hooks(t, p, m)
		s, err := triggers.Sample(p, "t", lookup, triggers.SampleOrder{Body: []byte(x.body), Base: "http://example.com"})
		if err != nil {
			t.Fatal(err)
		}
		s.Header.Set(x.header, "list-1")
		for range 2 {
			if w := post(h, s.Method, s.Path+"?"+s.Query.Encode(), s.Header, s.Body); w.Code/100 != 2 {
				t.Errorf("%s: %d %s", x.provider, w.Code, w.Body)
			}
		}
		var kinds []string
		for _, d := range m.taken {
			kinds = append(kinds, d.Type)
		}
		if got := strings.Join(kinds, " "); got != "a b b" {
			t.Errorf("%s: events %s: %v", x.provider, got, m.events)
		}
	}
}

// TestPresetDeclaresListsOfEvents: a type that is read from the first of a list is that of
// none of the others, so that validate must know of the list.
func TestPresetDeclaresListsOfEvents(t *testing.T) {
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	// Their lists have one element, or are no lists of events.
	alone := []string{"adyen", "terraform-cloud", "recurly", "x"}
	for _, name := range library.Names() {
		p, err := library.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		first := p.EventType != nil && strings.Contains(p.EventType.Text, "[0]")
		if first && p.Split == nil && p.Batch == nil && !slices.Contains(alone, p.Name) {
			t.Errorf("%s: event_type is %s; batch is missing", p.Name, p.EventType.Text)
		}
		if p.Batch != nil && !regexp.MustCompile(`^(body(\.\w+)*|fromJSON\(body\.\w+\))$`).MatchString(p.Batch.Text) {
			t.Errorf("%s: batch is %s: the other expressions cannot be narrowed to one element", p.Name, p.Batch.Text)
		}
	}
}

// TestManyFieldsBesideALongListAreNotCopiedForEachElement sends a body of which each element
// would take a copy of all fields: 5000 copies of 40,000 fields take a minute.
func TestManyFieldsBesideALongListAreNotCopiedForEachElement(t *testing.T) {
	var body strings.Builder
	body.WriteString(`{"items": [{"id": "0"}`)
	for i := range 5000 {
		fmt.Fprintf(&body, `,{"id": "%d"}`, i+1)
	}
	body.WriteString("]")
	for i := range 40_000 {
		fmt.Fprintf(&body, `,"k%d": 0`, i)
	}
	body.WriteString("}")
	p := load(t, "triggers:\n  t: {webhook: {auth: none, split: body.items, key: item.id}}\n")
	m := &memory{events: map[string]engine.EventID{}}
	header := map[string][]string{"Content-Type": {"application/json"}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if w := post(hooks(t, p, m), "POST", "/hooks/t", header, []byte(body.String())); w.Code/100 != 2 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	runtime.ReadMemStats(&after)
	if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 1024 {
		t.Errorf("%d MiB were allocated", mib)
	}
	if len(m.events) != 5001 {
		t.Errorf("%d events", len(m.events))
	}
}
