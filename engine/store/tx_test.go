package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"
)

// TestPutStoresTheSameBytesAsExec: the driver binds the values of the two in
// different ways.
func TestPutStoresTheSameBytesAsExec(t *testing.T) {
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "x.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	write := func(f func(*tx) error) error { return s.w.do(context.Background(), true, f) }
	if err := write(func(t *tx) error {
		return t.exec(`CREATE TABLE probe (n INTEGER, by TEXT, a, b TEXT, c BLOB, d INTEGER, e REAL, PRIMARY KEY (n, by))`)
	}); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	value := func() driver.Value {
		random := make([]byte, []int{0, 1, 7, 300, 4096, maxPut / 5, maxPut - 20, maxPut, maxPut + 1}[r.IntN(9)])
		for i := range random {
			random[i] = byte(r.Uint32())
		}
		return []driver.Value{nil, "", []byte{}, []byte(nil), "a\x00b", "\xff\xfe", "\x00", string(random), random, true, false,
			int64(math.MinInt64),
			int64(r.Uint64()), 0.0, math.Copysign(0, -1), math.Inf(1), math.NaN(), 1e300, "12", "1e3", "é\u2028\u0000🎈",
		}[r.IntN(21)]
	}
	const insert = `INSERT INTO probe (n, by, a, b, c, d, e) VALUES (?, ?, ?, ?, ?, ?, ?)`
	for n := range 600 {
		args := []driver.Value{value(), value(), value(), value(), value()}
		err := write(func(t *tx) error {
			if n%50 == 49 { // the statements are prepared anew
				if err := t.exec(fmt.Sprintf(`CREATE INDEX probe%d ON probe (d)`, n)); err != nil {
					return err
				}
			}
			return errors.Join(t.put(insert, append([]driver.Value{int64(n), "put"}, args...)...),
				t.exec(insert, append([]driver.Value{int64(n), "exec"}, args...)...))
		})
		if err != nil {
			t.Fatal(n, err)
		}
	}
	out := make([]driver.Value, 2)
	if err := write(func(t *tx) error {
		var parts []string
		for _, c := range strings.Fields("a b c d e") {
			parts = append(parts, fmt.Sprintf("typeof(p.%[1]s) = typeof(x.%[1]s) AND CAST(p.%[1]s AS BLOB) IS CAST(x.%[1]s AS BLOB)", c))
		}
		_, err := t.row(`SELECT count(*), coalesce(sum(`+strings.Join(parts, " AND ")+`), 0) FROM probe p
			JOIN probe x ON x.n = p.n AND x.by = 'exec'
			WHERE p.by = 'put'`, out)
		return err
	}); err != nil || out[0] != int64(600) || out[1] != int64(600) {
		t.Errorf("of %v pairs %v are equal, %v", out[0], out[1], err)
	}
	// A broken constraint fails both alike, and the statement works again after it.
	for _, by := range []string{"put", "exec"} {
		var code sqlite3.Error
		err := write(func(t *tx) error {
			if by == "put" {
				return t.put(insert, int64(1), "put", nil, nil, nil, nil, nil)
			}
			return t.exec(insert, int64(1), "put", nil, nil, nil, nil, nil)
		})
		if !errors.As(err, &code) || code.ExtendedCode != sqlite3.ErrConstraintPrimaryKey {
			t.Errorf("%s: %v", by, err)
		}
		if err := write(func(t *tx) error { return t.put(insert, int64(5000), by, nil, nil, nil, nil, nil) }); err != nil {
			t.Errorf("after a failed %s: %v", by, err)
		}
	}
}
