package store

import (
	"database/sql/driver"
	"math/big"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

// TestNumbersOfPostgreSQLEqualThoseOfSQLite: an integer that fits is one, others are floats.
func TestNumbersOfPostgreSQLEqualThoseOfSQLite(t *testing.T) {
	for _, c := range []struct {
		n    pgtype.Numeric
		want driver.Value
	}{
		{pgtype.Numeric{Int: big.NewInt(7), Valid: true}, int64(7)}, {pgtype.Numeric{Int: big.NewInt(7), Exp: 2, Valid: true}, int64(700)},
		{pgtype.Numeric{Int: big.NewInt(15), Exp: -1, Valid: true}, 1.5}, {pgtype.Numeric{Int: big.NewInt(1), Exp: 30, Valid: true}, 1e30},
	} {
		if got, err := decodeNumeric(c.n); got != c.want || err != nil {
			t.Errorf("%v: %v (%T), %v; want %v", c.n, got, got, err, c.want)
		}
	}
}

// TestOnlyWhatPostgreSQLRefusesIsEncoded: the other characters of the text can still be searched for.
func TestOnlyWhatPostgreSQLRefusesIsEncoded(t *testing.T) {
	for text, want := range map[string]string{"a\x00b": "a\U0010FF00b", "ż\xff\uFFFD": "ż\U0010FFFF\uFFFD",
		"x\U0010FF01": "x\U0010FFF4\U0010FF8F\U0010FFBC\U0010FF81", "plain": "plain"} {
		if got := storable(text); got != want {
			t.Errorf("%q is stored as %q, want %q", text, got, want)
		}
	}
}

// TestStepRowsAreIdentifiedByRunPathAndAttempt: one command may change each of them.
func TestStepRowsAreIdentifiedByRunPathAndAttempt(t *testing.T) {
	seen := map[rowKey]bool{}
	for _, run := range []int64{1, 2} {
		for _, path := range []string{"a", "b"} {
			for _, attempt := range []int64{1, 2} {
				seen[stepKey([]driver.Value{run, path, attempt})] = true
			}
			seen[decisionKey([]driver.Value{run + 10, path})] = true
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d keys for 12 rows", len(seen))
	}
}
