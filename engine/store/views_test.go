package store

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestTheViewsHaveTheColumnsThatAreDocumented compares the table with a new database.
func TestTheViewsHaveTheColumnsThatAreDocumented(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows, err := s.History().db.QueryContext(t.Context(), `SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'view' ORDER BY m.name, c.cid`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[string][]string{}
	for rows.Next() {
		var view, column string
		if err := rows.Scan(&view, &column); err != nil {
			t.Fatal(err)
		}
		found[view] = append(found[view], column)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, v := range Views() {
		var columns []string
		for _, c := range v.Columns {
			columns = append(columns, c.Name)
		}
		if !slices.Equal(columns, found[v.Name]) {
			t.Errorf("%s has %v, documented are %v", v.Name, found[v.Name], columns)
		}
	}
	if len(found) != len(Views()) {
		t.Errorf("the database has other views than the documented ones: %v", found)
	}
}
