package cmd

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

// shownOnly is an operator for a console that only reads.
type shownOnly struct{ console.Operator }

func (shownOnly) SwitchedOff() map[string]engine.Switch { return nil }

// TestEachKindOfInletIsStoredAndShown checks that a kind in the table is stored without a change of
// the schema, and shown by the commands, the console and the documents.
func TestEachKindOfInletIsStoredAndShown(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "hookloom.db")
	s, err := store.Open(t.Context(), db, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := &workflows.Project{}
	c, err := console.New(console.Options{Loopback: true, Log: s.History(), Operator: shownOnly{},
		Project: func() *workflows.Project { return p },
		Logger:  slog.New(slog.DiscardHandler), Ready: func() console.Readiness { return console.Readiness{} }})
	if err != nil {
		t.Fatal(err)
	}
	page := func(path string) string {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = "127.0.0.1:8081"
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w.Body.String()
	}
	document, err := os.ReadFile("../docs/reference/events.md")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	for i, k := range workflows.InletKinds() {
		name, id := string(k.Inlet), engine.EventID(engine.FirstID(now)+int64(i))
		if _, err := s.Accept(t.Context(), id, &engine.Delivery{Trigger: "t" + fmt.Sprint(i), Inlet: k.Inlet, Key: "k", Type: "x", Time: now,
			ReceivedAt: now, Dedupe: time.Hour, Unsubscribed: true}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.Contains(page("/events?trigger=t"+fmt.Sprint(i)), ">"+name+"<") {
			t.Errorf("%s is not in the console's list of events", name)
		}
		if !strings.Contains(page("/events/"+id.String()), "by "+name+"<") {
			t.Errorf("%s is not on the page of the event", name)
		}
		for _, shown := range []struct {
			args []string
			want string
		}{
			{[]string{"event", id.String(), "--db", db}, " by " + name + "\n"},
			{[]string{"events", "--output", "json", "--db", db}, `"inlet":"` + name + `"`},
		} {
			var out, errOut bytes.Buffer
			if code := Main(shown.args, &out, &errOut); code != 0 || !strings.Contains(strings.ReplaceAll(out.String(), `": "`, `":"`), shown.want) {
				t.Errorf("%v: %d %s%s", shown.args, code, errOut.String(), out.String())
			}
		}
		if !strings.Contains(string(document), fmt.Sprintf("| `%s` | %s |", name, k.Help)) {
			t.Errorf("docs/reference/events.md does not say of %s: %s", name, k.Help)
		}
	}
}
