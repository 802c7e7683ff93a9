package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// BenchmarkAccept stores events from many callers at once, as requests do.
func BenchmarkAccept(b *testing.B) {
	for _, callers := range []int{1, 32, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "x.db"), store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var ids engine.IDs
			body := make([]byte, 1200)
			for i := range body {
				body[i] = 'x'
			}
			var n atomic.Int64
			b.SetParallelism(callers / 2)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					now := time.Now()
					d := &engine.Delivery{Trigger: "t", Inlet: "webhook", Key: fmt.Sprintf("key-%012d", n.Add(1)), Type: "x", Time: now, ReceivedAt: now,
						Raw: body, Dedupe: time.Hour, Unsubscribed: true}
					if _, err := s.Accept(context.Background(), engine.EventID(ids.Next()), d); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
