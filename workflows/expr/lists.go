package expr

import (
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/value"
)

// maxParts is the maximum number of columns, or of lists processed together.
const maxParts = 1000

var listFunctions = []function{
	{"chunk", "splits a list into lists of n", `chunk([1, 2, 3], 2) == [[1, 2], [3]]`, new(func(any, int) []any), func(m *meter, a []any) any {
		list, n := m.list("chunk", a, 0), intArg("chunk", a, 1)
		if n < 1 {
			panic(fmt.Errorf("chunk: the size must be at least 1, got %d", n))
		}
		m.charge(56 * (len(list)/n + 1))
		m.work(3 * (len(list)/n + 1))
		out := []any{}
		for part := range slices.Chunk(list, n) {
			out = append(out, []any(part))
		}
		return out
	}},
	{"zip", "pairs lists element by element: [first of each], [second of each] …, up to the shortest",
		`zip([1, 2], ["a", "b"]) == [[1, "a"], [2, "b"]]`,
		new(func(...any) []any), zipLists},
	{"toCSV", "rows (lists, or objects, whose keys are the header) as CSV; a second argument names the columns. " +
		"A spreadsheet runs cells that begin with = as formulas",
		`toCSV([{id: 1, name: "a,b"}], ["id", "name"]) == "id,name\n1,\"a,b\"\n"`,
		new(func(any, ...any) string), toCSV},
}

func zipLists(m *meter, a []any) any {
	if len(a) == 0 || len(a) > maxParts {
		panic(fmt.Errorf("zip takes 1 to %d lists, got %d", maxParts, len(a)))
	}
	lists := make([][]any, len(a))
	shortest := -1
	for i := range a {
		lists[i] = m.list("zip", a, i)
		if n := len(lists[i]); shortest < 0 || n < shortest {
			shortest = n
		}
	}
	m.charge((56 + 16*len(lists)) * shortest)
	m.work((3 + len(lists)) * shortest)
	out := make([]any, shortest)
	for i := range out {
		row := make([]any, len(lists))
		for j, l := range lists {
			row[j] = l[i]
		}
		out[i] = row
	}
	return out
}

// toCSV writes RFC 4180 with line feeds, which most parsers accept.
func toCSV(m *meter, a []any) any {
	rows := m.list("toCSV", a, 0)
	var columns []string
	if len(a) > 1 {
		for i, c := range m.list("toCSV", a, 1) {
			name, ok := c.(string)
			if !ok {
				panic(fmt.Errorf("toCSV: column %d must be a name, got %s", i, value.Describe(c)))
			}
			columns = append(columns, name)
		}
	} else {
		columns = m.columns(rows)
	}
	if len(columns) > maxParts {
		panic(fmt.Errorf("toCSV: more than %d columns", maxParts))
	}
	var out strings.Builder
	w := csv.NewWriter(&out)
	if columns != nil {
		must(w.Write(columns))
	}
	for i, row := range rows {
		m.tick()
		must(w.Write(m.cells(i, row, columns)))
	}
	w.Flush()
	m.charge(out.Len())
	return out.String()
}

// columns returns the sorted keys of all rows that are objects; nil if rows are lists.
func (m *meter) columns(rows []any) []string {
	seen := map[string]bool{}
	objects := false
	for _, r := range rows {
		o, ok := r.(map[string]any)
		objects = objects || ok
		for k := range o {
			m.work(5)
			m.key(k)
			seen[k] = true
		}
	}
	if !objects {
		return nil
	}
	return slices.Sorted(maps.Keys(seen))
}

func (m *meter) cells(i int, row any, columns []string) []string {
	var values []any
	if _, isTable := row.(map[string]any); !isTable && lengthOf(row) == 0 {
		row = m.normalized(row)
	}
	switch x := row.(type) {
	case []any:
		values = x
	case []int, []string:
		values = m.list("toCSV", []any{x}, 0)
	case map[string]any:
		for _, c := range columns {
			m.work(3)
			m.key(c)
			values = append(values, x[c])
		}
	default:
		panic(fmt.Errorf("toCSV: row %d must be a list or an object, got %s", i, value.Describe(row)))
	}
	if len(values) > maxParts {
		panic(errors.New("toCSV: a row has too many columns"))
	}
	out := make([]string, len(values))
	for j, v := range values {
		out[j] = m.plainText(v)
		m.charge(len(out[j]) + 3)
		m.work(4 + len(out[j])/4)
	}
	return out
}
