package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/workflows"
)

// TestUnknownFiltersAndValuesAreErrors checks that an unknown filter, or an impossible value, gets
// 400 with the valid ones; on a page the form is kept.
func TestUnknownFiltersAndValuesAreErrors(t *testing.T) {
	c, _ := made(t, console.Options{Loopback: true})
	for path, known := range map[string]string{
		"/api/v1/runs?foo=bar": "waits_for", "/api/v1/runs?status=bogus": "timed_out", "/api/v1/runs?status=failed,bogus": "timed_out",
		"/api/v1/runs?workflow=nosuch": "there are w",
		"/api/v1/runs?waits_for=godot": "approval", "/api/v1/runs?host=nowhere.example": "nowhere.example",
		"/api/v1/runs?until=tomorrow": "2026-01-31", "/api/v1/runs?since=1h&until=2h": "not after",
		"/api/v1/runs?trigger=shop&trigger=other": "2 times", "/api/v1/events?status=bogus": "rule_failed",
		"/api/v1/events?host=a": "unknown parameter", "/api/v1/deadletters?status=succeeded": "rule_failed",
		"/api/v1/deadletters?reason=bogus": "http_status", "/api/v1/deadletters/groups?limit=3": "unknown parameter",
		"/api/v1/quarantine?reason=bogus": "signature missing", "/api/v1/audit?action=bogus": "run.replay",
		"/api/v1/alerts?since=1h": "this call has none", "/api/v1/stream?status=failed": "unknown parameter",
		"/api/v1/stream?workflow=nosuch": "there are w", "/api/v1/overview?range=1h": "since, step",
		"/runs?foo=bar": "waits_for", "/runs?status=bogus": "timed_out", "/events?since=yesterday": "yesterday",
		"/deadletters?host=nowhere.example": "nowhere.example", "/quarantine?reason=bogus": "signature missing",
		"/audit?action=bogus": "run.replay", "/?range=2h": "30d", "/timezone?zone=Mars/Olympus": "Europe/Berlin",
	} {
		w := get(c, "GET", path, nil, "")
		if body := w.Body.String(); w.Code != http.StatusBadRequest || !strings.Contains(body, known) {
			t.Errorf("%s: %d, wants 400 and %q: %.300s", path, w.Code, known, body)
		}
	}
	if w := get(c, "GET", "/runs?since=yesterday&q=kept", nil, ""); !strings.Contains(w.Body.String(), `value="kept"`) ||
		!strings.Contains(w.Body.String(), `value="yesterday"`) {
		t.Error("the form has lost what was in it")
	}
	if w := get(c, "POST", "/api/v1/runs/run_0000000000000002/cancel?force=1", map[string]string{"X-Hookloom": "1"},
		""); w.Code != http.StatusBadRequest {
		t.Errorf("an order with a parameter: %d", w.Code)
	}
	for _, path := range []string{"/runs?status=failed&status=timed_out", "/api/v1/runs?status=failed&status=timed_out",
		"/api/v1/runs?status=failed,timed_out&until=2999-01-01"} {
		if w := get(c, "GET", path, nil, ""); w.Code != 200 || !strings.Contains(w.Body.String(), "run_0000000000000002") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestTextThatNoDatabaseSearchesForIsRefused: with NUL or invalid UTF-8, SQLite finds all events and PostgreSQL none.
func TestTextThatNoDatabaseSearchesForIsRefused(t *testing.T) {
	c, _ := made(t, console.Options{Loopback: true})
	for _, path := range []string{"/api/v1/events?q=%00", "/api/v1/runs?q=a%FF", "/events?q=%FF"} {
		if w := get(c, "GET", path, nil, ""); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "is not UTF-8") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestEmptyListsShowTheReason distinguishes an empty result from an empty list.
func TestEmptyListsShowTheReason(t *testing.T) {
	c, _ := made(t, console.Options{Loopback: true})
	for path, bad := range map[string]string{"/events?q=zzz": "No events yet", "/runs?q=zzz": "No runs yet",
		"/deadletters?q=zzz": "No dead letters.", "/quarantine?q=zzz": "Nothing was refused", "/audit?q=zzz": "Nobody has done"} {
		body := get(c, "GET", path, nil, "").Body.String()
		if strings.Contains(body, bad) || !strings.Contains(body, "Nothing matches the filters") ||
			!strings.Contains(body, "Clear the filters") {
			t.Errorf("%s: %s", path, body)
		}
	}
	for id, page := range map[string]string{"evt_0000000000000001": "/events/", "run_0000000000000002": "/runs/", "ref_1": "/quarantine/"} {
		if w := get(c, "GET", "/search?q="+id, nil, ""); w.Code != http.StatusSeeOther || w.Header().Get("Location") != page+id {
			t.Errorf("a search for %s: %d %s", id, w.Code, w.Header().Get("Location"))
		}
	}
	if body := get(c, "GET", "/search?q=script", nil, "").Body.String(); !strings.Contains(body, "/events/evt_0000000000000001") ||
		!strings.Contains(body, "/runs/run_0000000000000002") || !strings.Contains(body, "/quarantine/ref_1") {
		t.Errorf("a search of all: %s", body)
	}
}

// TestTimesAreInOneNamedTimezone checks that all times of a page are in one time zone, which it
// names, and are machine-readable.
func TestTimesAreInOneNamedTimezone(t *testing.T) {
	c, _ := made(t, console.Options{Loopback: true})
	for zone, want := range map[string][2]string{"": {"Times in UTC", ">2026-05-01 10:00:00.000<"},
		"utc":              {"Times in UTC", ">2026-05-01 10:00:00.000<"},
		"America/New_York": {"Times in America/New_York (UTC-0", ">2026-05-01 06:00:00.000<"},
		"../../etc/passwd": {"Times in UTC", ">2026-05-01 10:00:00.000<"}} {
		body := get(c, "GET", "/events", map[string]string{"Cookie": "hookloom_zone=" + url.QueryEscape(zone)}, "").Body.String()
		if !strings.Contains(body, want[0]) || !strings.Contains(body, `<time datetime="2026-05-01T10:00:00Z"`) ||
			!strings.Contains(body, want[1]) {
			t.Errorf("%q: wants %v: %s", zone, want, body)
		}
	}
	w := get(c, "GET", "/timezone?zone=Europe/Berlin&to=/runs", nil, "")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/runs" ||
		!strings.Contains(w.Header().Get("Set-Cookie"), "Europe%2FBerlin") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := get(c, "GET", "/timezone?zone=utc&to=//evil.example", nil, ""); w.Header().Get("Location") != "/" {
		t.Errorf("it leads away: %v", w.Header())
	}
}

// TestAuditLogContainsTheParameters checks that entries contain the parameters, and that refused requests of
// viewers are recorded.
func TestAuditLogContainsTheParameters(t *testing.T) {
	c, op, p := madeOf(t, tokens("operate-token", "view-token"))
	p.Workflows["w"].Inputs = []workflows.Input{{Name: "card", Type: "string", Secret: true}}
	auth := map[string]string{"Authorization": "Bearer operate-token"}
	for _, x := range []struct{ path, body, detail string }{
		{"/api/v1/runs/run_0000000000000002/replay", `{"from":"failed"}`, "from=failed version=pinned"},
		{"/api/v1/runs/run_0000000000000002/approve", `{"verdict":"reject","comment":"too dear"}`, `verdict=reject comment="too dear"`},
		{"/api/v1/workflows/w/fire", `{"inputs":{"card":"4242"},"why":"asked"}`, "why=asked event=evt_0000000000000007"},
	} {
		op.audited = nil
		get(c, "POST", x.path, auth, x.body)
		if len(op.audited) != 1 || !strings.HasPrefix(op.audited[0].Detail, x.detail) || strings.Contains(op.audited[0].Detail, "4242") {
			t.Errorf("%s: %+v", x.path, op.audited)
		}
	}
	op.audited = nil
	get(c, "POST", "/api/v1/runs/run_0000000000000002/cancel", map[string]string{"Authorization": "Bearer view-token"}, "")
	if len(op.audited) != 1 || op.audited[0].Action != "refused" || op.audited[0].Status != http.StatusForbidden ||
		!strings.Contains(op.audited[0].Target, "run_0000000000000002") {
		t.Errorf("a refused try: %+v", op.audited)
	}
}

// timedWriter records the deadline of each write.
type timedWriter struct {
	*httptest.ResponseRecorder
	until  time.Time
	late   bool
	writes int
}

// SetWriteDeadline supports http.ResponseController.
func (w *timedWriter) SetWriteDeadline(t time.Time) error {
	w.until = t
	return nil
}

// Write implements http.ResponseWriter.
func (w *timedWriter) Write(b []byte) (int, error) {
	left := time.Until(w.until)
	w.late = w.late || left <= 0 || left > time.Minute
	w.writes++
	return w.ResponseRecorder.Write(b)
}

// TestStalledLiveReaderIsDisconnected checks that each write has a deadline, since the
// number of readers is limited to 64.
func TestStalledLiveReaderIsDisconnected(t *testing.T) {
	c, _ := made(t, console.Options{Loopback: true})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	w := &timedWriter{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest("GET", "/api/v1/stream", nil).WithContext(ctx)
	r.Host = "localhost"
	c.ServeHTTP(w, r)
	if w.writes == 0 || w.late {
		t.Errorf("%d writes, one of them without a deadline: %v\n%s", w.writes, w.late, w.Body)
	}
}
