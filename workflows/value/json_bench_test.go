package value_test

import (
	"testing"

	"github.com/hookloom/hookloom/workflows/value"
)

const benchDoc = `{"id":"evt_1PqZ","type":"order.created","created":1767225600,"livemode":false,"data":{"object":{"id":"ord_42",` +
	`"amount":1250,"currency":"eur","customer":{"name":"Ada Lovelace","email":"ada@example.com",` +
	`"address":{"line1":"12 St James's Square","city":"London","zip":"SW1Y 4JH"}},"items":[{"sku":"a-1","qty":2,` +
	`"price":10.5},{"sku":"b-2","qty":1,"price":3}],"note":"Gr\u00fc\u00dfe, ring the bell"}},"pending":null,` +
	`"tags":["new","web","eu"]}`

// BenchmarkDecodeJSON decodes a typical delivery, completely and only the two keys that a preset
// reads.
func BenchmarkDecodeJSON(b *testing.B) {
	doc := []byte(benchDoc)
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := value.DecodeJSON(doc); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("part", func(b *testing.B) {
		b.ReportAllocs()
		var w value.FieldSet
		w.Add("id")
		w.Add("type")
		for b.Loop() {
			if _, err := value.DecodePart(doc, &w); err != nil {
				b.Fatal(err)
			}
		}
	})
}
