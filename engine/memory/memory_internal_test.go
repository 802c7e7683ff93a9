package memory

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hookloom/hookloom/engine/content"
)

func TestMemoryIsLentInRequestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		if err := b.Take(t.Context(), 1000); err != nil { // more than the budget borrows all of it
			t.Fatal(err)
		}
		got := make(chan string, 2)
		ask := func(name string, n int64) {
			go func() {
				if err := b.Take(t.Context(), n); err == nil {
					got <- name
				}
			}()
			synctest.Wait()
		}
		ask("large", 90)
		ask("small", 20)
		b.Give(80)
		synctest.Wait()
		if len(got) > 0 || b.Try(1) {
			t.Error("one that came later was served before one that waits for more")
		}
		b.Give(10)
		if first := <-got; first != "large" || len(got) > 0 {
			t.Errorf("%s was served first", first)
		}
		b.Give(90)
		if second := <-got; second != "small" || b.free != 70 {
			t.Errorf("%s, %d free", second, b.free)
		}
	})
}

func TestAbandonedWaitTakesNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		if !b.Try(60) {
			t.Fatal("it is free")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- b.Take(ctx, 100) }()
		synctest.Wait()
		go func() { ended <- b.Take(t.Context(), 40) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		first, second := <-ended, <-ended
		if !errors.Is(errors.Join(first, second), context.Canceled) || first != nil && second != nil {
			t.Errorf("%v, %v: the second was to be served when the first went", first, second)
		}
		b.Give(60)
		b.Give(40)
		if b.free != 100 {
			t.Errorf("%d of 100 are free", b.free)
		}
	})
}

// TestTheSizeOfADecodedBodyIsNotGuessedTooLow compares the estimate with what
// decoding allocates and keeps.
func TestTheSizeOfADecodedBodyIsNotGuessedTooLow(t *testing.T) {
	if raceDetector {
		t.Skip("what the race detector keeps would be counted; the tests run without it too")
	}
	repeat := func(s string, n int) string { return "[" + strings.TrimSuffix(strings.Repeat(s+",", n), ",") + "]" }
	for name, c := range map[string][2]string{
		"empty objects": {"application/json", repeat("{}", 150_000)},
		"small objects": {"application/json", repeat(`{"a":1000}`, 60_000)},
		"nested lists":  {"application/json", repeat("[[]]", 60_000)},
		"numbers":       {"application/json", repeat("12345", 150_000)},
		"texts":         {"application/json", repeat(`"ab"`, 150_000)},
		"a wide object": {"application/json", "{" + strings.Trim(repeat(wideKeys(), 1), "[]") + "}"},
		"common objects": {"application/json",
			repeat(`{"id":1000,"name":"Ada Lovelace","email":"ada@example.com","tags":["a","b"],"address":{"city":"London"}}`, 5_000)},
		"a form": {"application/x-www-form-urlencoded", strings.Repeat("a=1&", 100_000)},
	} {
		raw := []byte(c[1])
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		v, err := content.Decode(c[0], raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		kept := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		runtime.KeepAlive(v)
		if guess := DecodedSize(raw); guess < kept {
			t.Errorf("%s: %d bytes of text take %d, guessed %d", name, len(raw), kept, guess)
		}
		runtime.KeepAlive(raw)
	}
}

// wideKeys returns the members of one object.
func wideKeys() string {
	var b strings.Builder
	for i := range 90_000 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"k`)
		for n := i; ; n /= 10 {
			b.WriteByte(byte('0' + n%10))
			if n < 10 {
				break
			}
		}
		b.WriteString(`x":1000`)
	}
	return b.String()
}
