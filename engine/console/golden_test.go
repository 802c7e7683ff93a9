package console_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/testgolden"
)

var (
	// varying are the parts of responses that are random.
	varying = regexp.MustCompile(`\b[0-9a-f]{32}\b|[0-9.]+ [KM]iB</b> database, [0-9.]+ [KM]iB|_bytes":[0-9]+|data-after="[^"]+`)
	// mainPart is what a page shows besides its frame.
	mainPart = regexp.MustCompile(`(?s)<main id="main" tabindex="-1">(.*)</main>`)
)

// shownPart is a response as golden files hold it.
func shownPart(w *httptest.ResponseRecorder) string {
	body := w.Body.String()
	if m := mainPart.FindStringSubmatch(body); m != nil {
		body = m[1]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d", w.Code)
	for _, name := range []string{"Content-Type", "Location", "Retry-After", "Allow", "Idempotent-Replayed"} {
		if v := w.Header().Get(name); v != "" && v != "text/html; charset=utf-8" && v != "application/json" {
			fmt.Fprintf(&b, " %s: %s", name, v)
		}
	}
	for _, name := range []string{"Cache-Control", "X-Content-Type-Options", "Referrer-Policy", "Content-Security-Policy"} {
		page := strings.HasPrefix(name, "Referrer") || strings.HasPrefix(name, "Content-")
		if w.Header().Get(name) == "" && w.Code != http.StatusSeeOther &&
			(!page || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/")) {
			fmt.Fprintf(&b, " no %s", name)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(body))
	return varying.ReplaceAllString(b.String(), "RANDOM")
}

// inBubble runs a test in a world, beside other tests.
func inBubble(t *testing.T, do func(t *testing.T, w *world)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { do(t, newWorld(t)) })
}

// made returns a console of the world.
func (w *world) made(change func(*console.Options)) *console.Console {
	w.t.Helper()
	o := w.o
	w.operator.whole(&o)
	if change != nil {
		change(&o)
	}
	c, err := console.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// named replaces the names of runs and events in a path.
func (w *world) named(path string) string {
	w.naming.Do(func() {
		d := w.operator
		w.names = strings.NewReplacer("CONFLICTING", d.conflicting.String(), "FILTERED", d.filtered.String(), "MATCHED",
			d.event(d.failed),
			"PENDING", d.pending(), "FAILED2", d.failed2.String(), "FAILED", d.failed.String(), "TIMEDOUT", d.timedOut.String(),
			"GOOD", d.good.String(), "QUEUED", d.queued.String(), "ASKING", d.asking.String(), "DOUBTFUL", d.doubtful.String(),
			"RUNNING", d.running.String(), "LONG", d.long.String())
	})
	return w.names.Replace(path)
}

// pagePaths are pages of the world, in all of their forms.
var pagePaths = strings.Fields(`
/ /?range=1h /?range=7d&said=many /live?trigger=shop&workflow=orders /events /events?status=filtered&limit=1
/events?since=1h&until=2m /events/CONFLICTING /events/FILTERED /events/MATCHED /events/PENDING /events/x
/events/evt_0000000000000001 /runs /runs?limit=2 /runs?status=failed&host=a.example /runs?waits_for=approval,review
/runs/FAILED /runs/FAILED?with=FAILED2 /runs/FAILED?with=x /runs/FAILED2 /runs/TIMEDOUT /runs/GOOD /runs/QUEUED /runs/ASKING
/runs/DOUBTFUL /runs/RUNNING /runs/LONG /runs/FAILED/replay /runs/FAILED/replay?from=failed
/runs/FAILED2/replay?from=failed&version=current /runs/FAILED/replay?from=x /deadletters /deadletters?workflow=orders&group=x
/deadletters?reason=timeout /deadletters?workflow=quiet /quarantine /quarantine?limit=1 /quarantine?limit=1&after=ref_3
/quarantine/ref_1 /search /search?q=k-fil /search?q=run_00000000000000aa /waiting /destinations /destination?name=a.example
/destination?name= /destination?name=nowhere /triggers /trigger?name=shop /trigger?name=feed /workflows /workflow?id=orders
/workflow?id=billing/refund /workflow?id=gone /workflow?id=orders&version=an-old-version
/workflow?id=orders&from=an-old-version /workflow?id=orders&version=none /workflow?id=orders&from=none
/workflow?id=gone&version=a-gone-version /audit /audit?who=bob&action=run.replay,event.replay /batches
/batches/bat_0000000000000009 /batches/bat_000000000000000a /batches/bat_000000000000000b /batches/x /replays
/replays?trigger=shop&since=1h&status=filtered,skipped&again=yes /replays?since=x /replays?workflow=orders&rate=0 /store
/store?limit=1 /store?limit=1&scope=workflow&workflow=orders&q=e /store?scope=x /playground /playground?event=last
/workflow/changes?id=orders /workflow/changes?id=none /workflow/changes?id=gone /shown/none /connections/callback
/connections/callback?state=s /connections/callback?state=s&code=c /connections/callback?state=s&code=c&error=denied
`)

// TestPagesShowTheWorld compares all pages with their golden files.
func TestPagesShowTheWorld(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.operator.forecast = forecastOf(w)
		w.operator.off = switches(w)
		c := w.made(nil)
		pictures := regexp.MustCompile(`(?s)<svg class="chart" .*?</svg>`)
		var b bytes.Buffer
		for _, path := range pagePaths {
			r := get(c, "GET", w.named(path), nil, "")
			page := shownPart(r)
			if path != "/?range=1h" { // one page is enough for the pictures
				page = pictures.ReplaceAllString(page, "CHART")
			}
			fmt.Fprintf(&b, "=== %s %s%s\n", path, page, strings.Join(w.operator.calls(), "\n"))
		}
		testgolden.Compare(t, "pages.golden", b.String())
	})
}

// apiPaths are calls of the API that read.
var apiPaths = strings.Fields(`
overview overview?since=2h&step=30m alerts events?limit=2 events?trigger=feed events/CONFLICTING events/MATCHED events/x
runs?limit=2 runs?event=x runs?status=failed&workflow=orders runs/FAILED runs/FAILED2 runs/x quarantine quarantine?limit=1
quarantine/groups quarantine/groups?since=x quarantine/ref_2 destinations destinations?host=a.example
destinations?host=nowhere triggers nodes workflows workflows?since=1h workflows?since=x audit?limit=2 audit?who=bob
deadletters deadletters?status=rule_failed deadletters/groups deadletters/groups?workflow=quiet
deadletters/groups?workflow=none batches batches/bat_0000000000000009 batches/x store store?limit=1 store?scope=project
store/value?key=next store/value?key=none connections compare/feed compare/feed?since=1h compare/feed?since=x compare/none
openapi.json
`)

// TestAPIAnswersAsRecorded compares the responses of all reading calls with their golden file.
func TestAPIAnswersAsRecorded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.operator.off = switches(w)
		c := w.made(nil)
		var b bytes.Buffer
		for _, path := range apiPaths {
			fmt.Fprintf(&b, "=== %s %s\n", path, shownPart(get(c, "GET", w.named("/api/v1/"+path), nil, "")))
		}
		testgolden.Compare(t, "api.golden", strings.ReplaceAll(b.String(), "},{", "},\n{"))
	})
}

var errDisk = errors.New("the disk is broken")

func sameKey() ([]byte, error) { return []byte("the key of this project, kept beside"), nil }

var (
	alertText = regexp.MustCompile(`(?s)role="alert">([^<]*)`)
	errorText = regexp.MustCompile(`"error":"((?:[^"\\]|\\.)*)"`)
)

// said is the error that a response shows.
func said(response string) string {
	for _, x := range []*regexp.Regexp{errorText, alertText} {
		if m := x.FindAllStringSubmatch(response, -1); m != nil {
			return m[len(m)-1][1]
		}
	}
	return ""
}

// compact counts equal neighbours.
func compact(list []string) []string {
	var out []string
	for i := 0; i < len(list); {
		n := 1
		for i+n < len(list) && list[i+n] == list[i] {
			n++
		}
		out = append(out, fmt.Sprintf("%dx %s", n, list[i]))
		i += n
	}
	return out
}

// TestEveryFailedReadIsReported lets each read of each page and call fail, one at a time: the response says so, or
// does not need the read.
func TestEveryFailedReadIsReported(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.operator.forecast = forecastOf(w)
		var b bytes.Buffer
		seen := map[string]bool{} // the same reads of the same page
		paths := pagePaths[:len(pagePaths):len(pagePaths)]
		for _, p := range apiPaths {
			paths = append(paths, "/api/v1/"+p)
		}
		for _, path := range paths {
			log := &failingHistory{History: w.o.Log}
			ask := func(n int, err error) string {
				log.reads, log.failing, log.err = nil, n, err
				return shownPart(get(w.made(func(o *console.Options) { o.Log = log }), "GET", w.named(path), nil, ""))
			}
			ask(0, nil)
			reads := log.reads
			kind := regexp.MustCompile(`[?].*|[a-z]+_[0-9a-f]+`).ReplaceAllString(w.named(path), "") + fmt.Sprint(reads)
			if seen[kind] {
				continue
			}
			seen[kind] = true
			var list []string
			for i, name := range reads {
				text := ask(i+1, errDisk)
				list = append(list, name+" "+text[:3]+" "+said(text))
			}
			fmt.Fprintf(&b, "=== %s\n%s\n", path, strings.Join(compact(list), "\n"))
		}
		testgolden.Compare(t, "faults.golden", b.String())
	})
}
