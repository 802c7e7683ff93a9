package alert

import (
	"slices"
	"testing"
	"time"
)

var began = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// refuse counts n refusals of a trigger at a moment, and gives the number at which they rise;
// 0 if they do not.
func refuse(x *refusalRates, n int, at time.Time) (rises int) {
	for range n {
		if count, _, risen := x.add("hook", at); risen {
			rises = count
		}
	}
	return rises
}

// TestRefusalsRiseFromTheTenthOn, once.
func TestRefusalsRiseFromTheTenthOn(t *testing.T) {
	t.Parallel()
	var x refusalRates
	if at := refuse(&x, 9, began); at != 0 {
		t.Errorf("they rise at %d", at)
	}
	if at := refuse(&x, 1, began); at != 10 {
		t.Errorf("they rise at %d, expected 10", at)
	}
	if at := refuse(&x, 50, began); at != 0 {
		t.Errorf("they rise again at %d", at)
	}
	if _, _, risen := x.add("other", began); risen {
		t.Error("another trigger rises with them")
	}
}

// TestRefusalsRiseAboveThreeTimesTheUsual number of a trigger's windows of five minutes.
func TestRefusalsRiseAboveThreeTimesTheUsual(t *testing.T) {
	t.Parallel()
	var x refusalRates
	for i := range 99 {
		if at := refuse(&x, 9, began.Add(time.Duration(i)*5*time.Minute)); at != 0 {
			t.Fatalf("what is usual rises in window %d at %d", i, at)
		}
	}
	if at := refuse(&x, 200, began.Add(99*5*time.Minute)); at != 27 { // usual: 8.998
		t.Errorf("they rise at %d, expected 27", at)
	}
}

// TestAWindowIsFiveMinutes: refusals before and after its end are not added up.
func TestAWindowIsFiveMinutes(t *testing.T) {
	t.Parallel()
	for later, rises := range map[time.Duration]int{5*time.Minute - time.Nanosecond: 10, 5 * time.Minute: 0} {
		var x refusalRates
		refuse(&x, 5, began)
		if at := refuse(&x, 5, began.Add(later)); at != rises {
			t.Errorf("%v later they rise at %d, expected %d", later, at, rises)
		}
	}
}

// TestFloodLastsUntilACalmWindow: fewer than ten, or at most twice the usual. The flood
// itself does not become usual.
func TestFloodLastsUntilACalmWindow(t *testing.T) {
	t.Parallel()
	const window = 5 * time.Minute
	var x refusalRates
	at := began
	for range 99 {
		refuse(&x, 9, at)
		at = at.Add(window)
	}
	usual := x.byTrigger["hook"].usual
	for _, c := range []struct {
		n    int
		over bool
	}{{200, false}, {200, false}, {18, false}, {17, true}} { // twice the usual is 17.99
		refuse(&x, c.n, at)
		if slices.Contains(x.over(at), "hook") {
			t.Errorf("over within a window of %d", c.n)
		}
		at = at.Add(window)
		if over := slices.Contains(x.over(at), "hook"); over != c.over {
			t.Errorf("after a window of %d: over is %v", c.n, over)
		}
		if now := x.byTrigger["hook"].usual; !c.over && (now < usual*0.99 || now > usual*1.01) {
			t.Errorf("a flood of %d changes what is usual from %f to %f", c.n, usual, now)
		}
	}
	if !x.counts("hook") || x.counts("other") {
		t.Error("other triggers are counted")
	}
}

func TestFloodOfAQuietTriggerEndsBelowTenRefusals(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{10: false, 9: true} {
		var x refusalRates
		refuse(&x, 50, began)
		refuse(&x, n, began.Add(refusalWindow))
		if over := slices.Contains(x.over(began.Add(2*refusalWindow)), "hook"); over != want {
			t.Errorf("after a window of %d: over is %v", n, over)
		}
	}
}

func TestTriggerCountsRestartAfterALongSilence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		silence time.Duration
		anew    bool
	}{{100*refusalWindow + time.Minute, false}, {101*refusalWindow + time.Minute, true}, {100_000 * refusalWindow, true}} {
		var x refusalRates
		refuse(&x, 9, began)
		now := began.Add(c.silence)
		_, usual, _ := x.add("hook", now)
		r := x.byTrigger["hook"]
		if (usual == 0) != c.anew || r.began.Equal(now) != c.anew || r.count != 1 {
			t.Errorf("after %v: usual %g, a window began at %v, %d counted", c.silence, usual, r.began, r.count)
		}
	}
}

// TestTheUsualNumberMovesByATwelfthOfEachWindow, and ends with the hundredth empty one.
func TestTheUsualNumberMovesByATwelfthOfEachWindow(t *testing.T) {
	t.Parallel()
	var x refusalRates
	usual, at := 0.0, began
	for i, n := range []int{6, 0, 9, 3, 1} {
		refuse(&x, n, at)
		at = at.Add(refusalWindow)
		x.over(at)
		usual += (float64(n) - usual) / 12
		if r := x.byTrigger["hook"]; r.usual != usual || r.count != 0 || !r.began.Equal(at) || r.risen {
			t.Errorf("after window %d: %+v, want %g", i, r, usual)
		}
	}
	for windows, want := range map[int]bool{99: true, 100: true, 101: false} {
		y := refusalRates{byTrigger: map[string]*refusalRate{"hook": {began: began, usual: 1000, count: 20, risen: true}}}
		y.over(began.Add(time.Duration(windows) * refusalWindow))
		if r := y.byTrigger["hook"]; (r.usual > 0) != want || r.count != 0 || r.risen ||
			!r.began.Equal(began.Add(time.Duration(windows)*refusalWindow)) {
			t.Errorf("after %d windows: %+v", windows, r)
		}
	}
}
