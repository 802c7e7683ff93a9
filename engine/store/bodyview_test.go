package store_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// shownBodies are bodies and what events_view shows of them.
var shownBodies = []struct{ body, shown string }{
	{`{"a": "żółw"}`, `{"a": "żółw"}`},
	{"text \"é\"\n", `"text \"é\"\n"`},
	{"<a>é</a>", `"<a>é</a>"`},
	{"caf\xe9", `{"hex":"636166E9"}`},
	{"\xff", `{"hex":"FF"}`},
	{"\x80\x81", `{"hex":"8081"}`},
	{"{\"a\":\"\xff\"}", `{"hex":"7B2261223A22FF227D"}`},
	{"a\x00b", `{"hex":"610062"}`},
	{"\xed\xa0\x80", `{"hex":"EDA080"}`}, // half of a surrogate pair
}

// TestEveryBodyIsReadableInTheView checks both databases: the column is JSON text in UTF-8, whatever the
// bytes of the body are.
func TestEveryBodyIsReadableInTheView(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	bodiesAreReadable(t, open(t, path, store.Options{}), "sqlite3", "file:"+path+"?mode=ro", "events_view")
}

func TestEveryBodyIsReadableInTheViewOfPostgreSQL(t *testing.T) {
	url := postgrestest.Shared(t).Database(t)
	bodiesAreReadable(t, open(t, url, store.Options{}), "pgx", url, "hookloom.events_view")
}

func bodiesAreReadable(t *testing.T, s *store.Store, driver, source, view string) {
	t.Helper()
	for i, c := range shownBodies {
		d := delivery("shop", fmt.Sprint("k", i))
		d.Raw = []byte(c.body)
		if _, err := s.Accept(ctx, engine.EventID(1000+i), d); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i, c := range shownBodies {
		var got string
		if err := db.QueryRow(fmt.Sprintf("SELECT body FROM %s WHERE key = 'k%d'", view, i)).Scan(&got); err != nil || got != c.shown ||
			!json.Valid([]byte(got)) || !utf8.ValidString(got) {
			t.Errorf("%q is shown as %q, expected %q (%v)", c.body, got, c.shown, err)
		}
	}
}
