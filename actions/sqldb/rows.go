package sqldb

import (
	"database/sql"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// table is the result of a statement.
type table struct {
	columns []any
	rows    []any
}

// read reads at most limit rows, and at most as many bytes as a step's output may have.
func read(rows *sql.Rows, limit int) (*table, error) {
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	out, size, seen := &table{columns: []any{}, rows: []any{}}, 0, map[string]bool{}
	for _, c := range types {
		if seen[c.Name()] {
			return nil, plan.Permanent("invalid_input", "two columns are named %q: rename one with AS", value.CutText(c.Name(), 60))
		}
		seen[c.Name()] = true
		out.columns = append(out.columns, c.Name())
	}
	cells, to := make([]any, len(types)), make([]any, len(types))
	for i := range cells {
		to[i] = &cells[i]
	}
	for rows.Next() {
		if len(out.rows) >= limit {
			return nil, plan.Permanent("too_large", "there are more than %d rows: add LIMIT to the statement, or raise max_rows", limit)
		}
		if err := rows.Scan(to...); err != nil {
			return nil, fmt.Errorf("reading a row: %w", err)
		}
		row := make(map[string]any, len(cells))
		for i, c := range types {
			row[c.Name()] = cell(c.DatabaseTypeName(), cells[i])
		}
		bytes, _, _ := value.Size(row)
		if size += bytes; size > value.MaxSize {
			return nil, plan.Permanent("too_large", "the rows are larger than %d MiB: select fewer rows or columns", value.MaxSize>>20)
		}
		out.rows = append(out.rows, row)
	}
	return out, rows.Err()
}

// cell converts a value by the driver's name for its type.
func cell(kind string, v any) any {
	kind = strings.TrimPrefix(strings.ToUpper(kind), "UNSIGNED ")
	switch v := v.(type) {
	case int64:
		return int(v)
	case uint64:
		return value.Shown(v)
	case float32:
		f, err := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
		if err != nil {
			return float64(v)
		}
		return f
	case time.Time:
		if kind == "DATE" {
			return v.Format(time.DateOnly)
		}
		return v.Format(time.RFC3339Nano)
	case string:
		return cellOfText(kind, v)
	case []byte:
		switch kind {
		case "BYTEA", "BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "BINARY", "VARBINARY", "BIT", "GEOMETRY":
			return base64.StdEncoding.EncodeToString(v)
		}
		if !utf8.Valid(v) {
			return base64.StdEncoding.EncodeToString(v)
		}
		return cellOfText(kind, string(v))
	}
	return v
}

// cellOfText converts a value that the driver returns as text, as MySQL does for all values without
// parameters. Decimals stay text, so that no digit is lost.
func cellOfText(kind, s string) any {
	switch kind {
	case "JSON", "JSONB":
		if x, err := value.DecodeJSON([]byte(s)); err == nil {
			return x
		}
	case "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "YEAR":
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
	case "FLOAT", "DOUBLE":
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
	}
	return s
}
