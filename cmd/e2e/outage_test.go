//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/testsize"
	"github.com/hookloom/hookloom/triggers"
)

// TestServerWaitsOutADatabaseOutage: PostgreSQL is killed and stopped under load. Meanwhile
// deliveries are answered 503 with Retry-After and /readyz says so; afterwards everything goes on by
// itself, and nothing that was acknowledged is lost. HOOKLOOM_OUTAGES sets how often.
func TestServerWaitsOutADatabaseOutage(t *testing.T) {
	t.Parallel()
	realProcess(t)
	rounds := testsize.Of(t, "HOOKLOOM_OUTAGES", 2)
	server := postgrestest.Start(t, postgrestest.Options{})
	out := newLedger(t)
	flow := "on: hook\nwhen: event.data.n >= 0\nsteps:\n" +
		"  - {id: first, uses: http/post, with: {url: URL/first, body: {n: \"${{ event.data.n }}\"}}}\n"
	p := newProject(t, map[string]string{"hookloom.yaml": hookConfig, ".env": hookEnv,
		"workflows/w.yaml": strings.ReplaceAll(flow, "URL", out.url)})
	p.db = server.Database(t)
	s := p.start(t)
	acked := newAcknowledged()
	for c := range rounds {
		stop := p.senders(t, acked, 8, fmt.Sprint(c))
		time.Sleep(500 * time.Millisecond)
		if c%2 == 0 {
			server.Kill(t)
		} else {
			server.Stop(t)
		}
		p.awaitReady(t, http.StatusServiceUnavailable)
		if status, wait := p.answer(t, fmt.Sprint("away-", c)); status != http.StatusServiceUnavailable || wait == "" {
			t.Errorf("answered %d with Retry-After %q while the database is away", status, wait)
		}
		select {
		case <-s.exited:
			t.Fatalf("the server has ended: %v\n%s", s.err, s.log.String())
		default:
		}
		server.Up(t)
		p.awaitReady(t, http.StatusOK)
		stop()
	}
	p.idle(t)
	s.stop(t)
	t.Logf("%d outages, %d acknowledged, %d keys at the sink", rounds, acked.count(), out.keys())
	out.check(t, p.db, acked, 1)
	if acked.count() == 0 {
		t.Error("nothing was acknowledged")
	}
}

// awaitReady waits until /readyz has a status.
func (p *project) awaitReady(t *testing.T, want int) {
	t.Helper()
	got := 0
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + p.addr + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got = resp.StatusCode; got == want {
			return
		}
	}
	t.Fatalf("/readyz answers %d, want %d", got, want)
}

// answer delivers one event and returns the status and Retry-After.
func (p *project) answer(t *testing.T, key string) (status int, wait string) {
	t.Helper()
	s, err := triggers.Sample(p.flows, "hook", p.secrets.Lookup, triggers.SampleOrder{ID: key,
		Body: fmt.Appendf(nil, `{"type":"n","data":{"n":-1,"key":%q}}`, key)})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), s.Method, "http://"+p.addr+s.Path, strings.NewReader(string(s.Body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = s.Header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Retry-After")
}
