package store

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestStatementsAreTranslatedForPostgreSQL lists each difference of the two dialects once.
func TestStatementsAreTranslatedForPostgreSQL(t *testing.T) {
	for sqlite, want := range map[string]string{
		`SELECT id FROM runs WHERE id = ? AND due_at > ?`:              `SELECT id FROM hookloom.runs WHERE id = $1 AND due_at > $2`,
		`UPDATE runs SET due_at = ?2 WHERE id = ?1`:                    `UPDATE hookloom.runs SET due_at = $2 WHERE id = $1`,
		`INSERT INTO keys (trigger) VALUES (?) ON CONFLICT DO NOTHING`: `INSERT INTO hookloom.keys (trigger) VALUES ($1) ON CONFLICT DO NOTHING`,
		`SELECT '?', 'it''s FROM runs', runs FROM batches`:             `SELECT '?', 'it''s FROM runs', runs FROM hookloom.batches`,
		`SELECT id FROM runs r INDEXED BY runs_due WHERE 1 = 1`:        `SELECT id FROM hookloom.runs r    WHERE 1 = 1`,
		`SELECT max(id), max(0, id - ?), min(a, b) FROM runs`:          `SELECT max(id), greatest(0, id - $1), least(a, b) FROM hookloom.runs`,
		`SELECT r.error ->> '$.code', error ->> '$.a' FROM runs r`: `SELECT hookloom.json_field(r.error , 'code'), ` +
			`hookloom.json_field(error , 'a') FROM hookloom.runs r`,
		`SELECT count(*) FROM (SELECT 1 FROM runs LIMIT 5)`: `SELECT count(*) FROM (SELECT 1 FROM hookloom.runs LIMIT 5) AS sub1`,
		`SELECT 1 FROM (SELECT 1 FROM runs) g JOIN steps ON 1 = 1`: `SELECT 1 FROM (SELECT 1 FROM hookloom.runs) g ` +
			`JOIN hookloom.steps ON 1 = 1`,
		`SELECT id FROM runs WHERE id IN (SELECT value FROM json_each(?))`: `SELECT id FROM hookloom.runs WHERE id IN (SELECT value FROM ` +
			`hookloom.json_ids($1))`,
		`SELECT id FROM runs WHERE workflow IN (SELECT value FROM json_each(?))`: `SELECT id FROM hookloom.runs WHERE workflow IN (SELECT ` +
			`value FROM hookloom.json_texts($1))`,
		`SELECT 1 WHERE CAST(e.body AS TEXT) LIKE ? ESCAPE '\'`: `SELECT 1 WHERE hookloom.body_text(e.body  ) COLLATE "C" ILIKE $1  `,
		`SELECT CAST(x AS BIGINT), printf('run_%016x', id)`:     `SELECT CAST(x AS BIGINT), hookloom.hex_id('run_%016x', id)`,
		`SELECT 1 WHERE a > 1 AND +e.trigger IN (?)`:            `SELECT 1 WHERE a > 1 AND e.trigger IN ($1)`,
		`SELECT 1 FROM runs r CROSS JOIN steps s ON 1 = 1`:      `SELECT 1 FROM hookloom.runs r  JOIN hookloom.steps s ON 1 = 1`,
	} {
		if got := translate(sqlite); got != want {
			t.Errorf("%s\n got %s\nwant %s", sqlite, got, want)
		}
	}
}

// TestAnyTextIsReadBackFromPostgreSQL: senders choose keys and headers.
func TestAnyTextIsReadBackFromPostgreSQL(t *testing.T) {
	for _, s := range anyTexts {
		stored := storable(s)
		if got := original(stored); got != s {
			t.Errorf("%q is stored as %q and comes back as %q", s, stored, got)
		}
		if !isStorable(stored) {
			t.Errorf("%q is stored as %q, which PostgreSQL refuses", s, stored)
		}
	}
}

var anyTexts = []string{"", "plain", "żółć", "a\x00b", "\xff\xfe", "\U0010FF00", "\U0010FFFF and \U0010FEFF",
	"\xf4\x8f", "a\xf4\x8fb\x00"}

func isStorable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func FuzzAnyTextComesBackFromPostgreSQL(f *testing.F) {
	for _, s := range anyTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if stored := storable(s); !isStorable(stored) || original(stored) != s {
			t.Errorf("%q is stored as %q and comes back as %q", s, stored, original(stored))
		}
	})
}
