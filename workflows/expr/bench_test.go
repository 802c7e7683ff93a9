package expr_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
)

// ordinaryRules are typical expressions; metering must not dominate their cost.
var ordinaryRules = []struct{ name, text string }{
	{"equals", `event.type == "order.paid" and event.data.total > 100`},
	{"compare", `event.data.total >= event.data.limit and event.data.name != event.data.other`},
	{"contains", `event.data.name contains "smith" or event.data.name startsWith "A"`},
	{"in", `event.type in ["order.paid", "order.sent"] and not (event.data.name in event.data.tags)`},
	{"any", `any(event.data.items, .price > 10 and .name contains "3")`},
	{"map", `map(filter(event.data.items, .price > 5), {{name: .name, price: .price * 2}})`},
	{"sort", `sortBy(event.data.items, .name)[0].name`},
	{"text", `upper(event.data.name) + "-" + string(event.data.total) + "-" + event.data.name[0:3]`},
	{"json", `toJSON({items: event.data.items, n: len(event.data.items)})`},
	{"regexp", `event.data.name matches "^[A-Z][a-z]+ [A-Z]"`},
	{"keys", `join(keys(event.data), ",")`},
	{"object", `{id: event.data.id, name: event.data.name, items: event.data.items}`},
}

func ordinaryEvent() expr.Names {
	var items []any
	for i := range 20 {
		items = append(items, map[string]any{"name": fmt.Sprint("item ", 20-i), "price": i, "sku": "x"})
	}
	return expr.Names{"event": map[string]any{"type": "order.paid", "data": map[string]any{
		"id": "o_1", "total": 250, "limit": 100, "name": "Anna Smith", "other": "Bert Jones",
		"tags": []any{"a", "b", "c"}, "items": items}}}
}

func BenchmarkRule(b *testing.B) {
	env := &expr.Env{Names: ordinaryEvent(), Now: time.Unix(1700000000, 0)}
	for _, r := range ordinaryRules {
		e, err := expr.Compile(r.text, "event")
		if err != nil {
			b.Fatal(r.name, err)
		}
		b.Run(r.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Eval(env); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
