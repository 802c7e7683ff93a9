package plan_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// TestPausesSpreadEvenly holds the pauses of many runs against the law that they
// should follow, evenly between half of the full pause and all of it, by the test of
// Kolmogorov and Smirnov at 0.1 %: runs that failed together do not come back
// together. Ids are as the engine makes them: of one moment, one after another.
func TestPausesSpreadEvenly(t *testing.T) {
	r := &workflows.Retry{Max: 5, Delay: time.Second, Factor: 2, MaxDelay: time.Minute, Jitter: true}
	for name, address := range map[string]func(i int) string{
		"runs of one millisecond":  func(i int) string { return fmt.Sprintf("run_%016x/call/1", 0x0655e9ff84400000+i) },
		"runs of one second":       func(i int) string { return fmt.Sprintf("run_%016x/call/1", 0x0655e9ff84400000+i<<21) },
		"attempts of a run":        func(i int) string { return fmt.Sprintf("run_0655e9ff84400000/call/%d", i) },
		"branches of a loop":       func(i int) string { return fmt.Sprintf("run_0655e9ff84400000/each/%d/call/1", i) },
		"steps of different names": func(i int) string { return fmt.Sprintf("run_0655e9ff84400000/s%d/1", i) },
	} {
		for failures := 1; failures <= 4; failures++ {
			const n = 5000
			full := float64(time.Second) * math.Pow(2, float64(failures-1))
			var at []float64
			for i := range n {
				at = append(at, (float64(plan.Pause(r, failures, address(i)))-full/2)/(full/2))
			}
			slices.Sort(at)
			worst := 0.0
			for i, x := range at {
				worst = max(worst, math.Abs(x-float64(i)/n), math.Abs(x-float64(i+1)/n))
			}
			if limit := 1.95 / math.Sqrt(n); worst > limit || at[0] < 0 || at[n-1] > 1 {
				t.Errorf("%s, after %d failures: off by %.4f, at most %.4f would be chance; from %.3f to %.3f", name, failures, worst, limit,
					at[0], at[n-1])
			}
		}
	}
}
