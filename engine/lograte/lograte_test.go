package lograte

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestRepeatedMessageIsLoggedOncePerPeriod: the first line comes at once, another text is not held up, and the
// numbers of those left out add up.
func TestRepeatedMessageIsLoggedOncePerPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		to := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		l := New(time.Second)
		for i := range 250 { // 2.5 s
			l.Error(to, "full", "n", i)
			if i == 10 {
				l.Warn(to, "other")
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		l.Error(to, "full", "n", 1000)
		want := "level=ERROR msg=full n=0\nlevel=WARN msg=other\n" +
			"level=ERROR msg=full n=100 suppressed=99\nlevel=ERROR msg=full n=200 suppressed=99\n" +
			"level=ERROR msg=full n=1000 suppressed=49\n"
		if got := out.String(); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	})
}
