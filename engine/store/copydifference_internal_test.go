package store

import (
	"database/sql/driver"
	"reflect"
	"testing"
)

// The message names the row and column of the first difference, so that a person can compare the two rows.
func TestTheFirstDifferenceNamesItsRowAndColumn(t *testing.T) {
	c := &copier{columns: []string{"id", "name", "n"}, types: map[string]string{"b": "boolean", "y": "bytea", "t": "text"}}
	row := func(v ...driver.Value) []driver.Value { return v }
	a, key := row(int64(1), "x", nil), []string{"id", "name"}
	for _, x := range []struct {
		key  []string
		a, b []driver.Value
		want string
	}{
		{key, a, row(int64(1), []byte("x"), nil), ""}, {key, row(int64(1), "x", int64(5)), row(int64(1), "x", 5.0), ""},
		{key, row(int64(1), "x", true), row(int64(1), "x", int64(1)), ""}, {key, row(int64(1), "x", false), row(int64(1), "x", int64(0)), ""},
		{key, nil, a, `the copy has one row more, with id 1, name "x"`}, {key, a, nil, `the copy has no row with id 1, name "x"`},
		{key, a, row(int64(2), "x", nil), `where the source has the row with id 1, name "x", the copy has id 2, name "x"`},
		{key, a, row(int64(1), "x", ""), `column n of the row with id 1, name "x"`},
		{key, a, row(int64(1), "x", "<nil>"), `column n of the row with id 1, name "x"`},
		{nil, a, row(int64(1), "y", nil), "column name of the row with number 7"},
		{nil, a, nil, "the copy has no row with number 7"},
	} {
		if got := c.compare(x.key, x.a, x.b, 7); got != x.want {
			t.Errorf("%v and %v: %q, want %q", x.a, x.b, got, x.want)
		}
	}
	for _, x := range []struct {
		column  string
		v, want driver.Value
	}{
		{"b", int64(1), true}, {"b", int64(0), false}, {"x", int64(1), int64(1)}, {"y", "a", []byte("a")}, {"x", "a", "a"},
		{"t", []byte("a"), "a"}, {"x", []byte("a"), []byte("a")}, {"y", []byte("a"), []byte("a")}, {"b", nil, nil},
	} {
		if got := c.typed(x.column, x.v); !reflect.DeepEqual(got, x.want) {
			t.Errorf("%v in %s: %#v, want %#v", x.v, x.column, got, x.want)
		}
	}
}
