package triggers

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestOnlyLateBodiesAreAborted: within lateCheck of the time when they had to be
// complete, which more bytes defer; also those that come after a time without any.
func TestOnlyLateBodiesAreAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission()
		begin := func(within time.Duration) *arriving {
			x := &arriving{caller: a.others, began: time.Now(), due: time.Now().Add(within)}
			a.begin(x)
			return x
		}
		late := func(x *arriving) bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return x.late
		}
		for round := range 3 {
			first, grows, patient := begin(time.Second), begin(time.Second), begin(time.Minute)
			if !a.take(grows, 9000, time.Now().Add(3*time.Second)) {
				t.Fatal("there is no room")
			}
			time.Sleep(990 * time.Millisecond)
			if late(first) {
				t.Errorf("round %d: ended before its time", round)
			}
			time.Sleep(20*time.Millisecond + lateCheck)
			if !late(first) || late(grows) || late(patient) {
				t.Errorf("round %d: after a second ended are %t, %t, %t", round, late(first), late(grows), late(patient))
			}
			time.Sleep(2 * time.Second)
			if !late(grows) || late(patient) {
				t.Errorf("round %d: after three seconds ended are %t, %t", round, late(grows), late(patient))
			}
			for x, want := range map[*arriving]bool{first: true, grows: true, patient: false} {
				if ended, late := a.arrived(x); ended || late != want {
					t.Errorf("round %d: ended for others %t, late %t, expected %t", round, ended, late, want)
				}
				a.release(x)
			}
			time.Sleep(time.Minute) // nothing arrives: nothing is looked for
			a.mu.Lock()
			if a.checking || a.count != 0 || a.oldest != nil || a.newest != nil || a.held != [2]int64{} {
				t.Errorf("round %d: %d bodies are left, checking %t, held %v", round, a.count, a.checking, a.held)
			}
			a.mu.Unlock()
		}
	})
}
