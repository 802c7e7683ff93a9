package transform

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

var delimiterInput = workflows.ActionInput{Name: "delimiter", Type: "string",
	Help: "comma by default; semicolon, tab, pipe, or one character"}

// CSVParseSpec describes csv/parse.
var CSVParseSpec = workflows.ActionSpec{Name: "csv/parse", Help: "reads CSV (RFC 4180) into a list of objects", Safe: true,
	Inputs: []workflows.ActionInput{
		{Name: "text", Type: "string", Required: true, Help: "the CSV"},
		delimiterInput,
		{Name: "header", Type: "boolean", Help: "false: the first row is data too; rows are then lists, or objects by columns:"},
		{Name: "columns", Type: "list", Help: "names of the columns, instead of the header's"},
		{Name: "numbers", Type: "boolean", Help: "true: 42 and 1.5 become numbers; 007 and 1e5 stay text"},
	},
	Outputs: []workflows.ActionOutput{{Name: "rows", Type: "list", Help: "one object for each row"},
		{Name: "columns", Type: "list", Help: "names of the columns, in order"}, {Name: "count", Type: "integer", Help: "how many rows"}},
	Usage: `- id: orders
  uses: csv/parse
  with: {text: "${{ event.data.file }}", delimiter: semicolon, numbers: true}
`}

// CSVMakeSpec describes csv/make.
var CSVMakeSpec = workflows.ActionSpec{Name: "csv/make", Help: "writes a list of objects as CSV (RFC 4180)", Safe: true,
	Inputs: []workflows.ActionInput{
		{Name: "rows", Type: "list", Required: true, Help: "objects, or lists of cells"},
		{Name: "columns", Type: "list", Help: "the columns, in order; all fields in alphabetical order by default"},
		delimiterInput,
		{Name: "header", Type: "boolean", Help: "false: no header row"},
		{Name: "spreadsheet", Type: "boolean",
			Help: "true: for spreadsheet programs: a byte order mark, and a ' before texts that they would run as formulas (= + - @)"},
	},
	Outputs: []workflows.ActionOutput{{Name: "text", Type: "string", Help: "the CSV, lines ended by CR LF"},
		{Name: "count", Type: "integer", Help: "how many rows, without the header"}},
	Usage: `- id: report
  uses: csv/make
  with: {rows: "${{ event.data.lines }}", columns: [sku, amount], spreadsheet: true}
`}

// CSVParse executes csv/parse.
type CSVParse struct{}

// CSVMake executes csv/make.
type CSVMake struct{}

// Do implements engine.Action.
func (CSVParse) Do(ctx context.Context, in engine.Input) (any, error) {
	sep, err := delimiter(in.With["delimiter"])
	if err != nil {
		return nil, err
	}
	columns, err := names("columns", in.With["columns"])
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(value.Shown(in.With["text"]), "\ufeff")))
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = sep, -1, true
	if header, given := in.With["header"].(bool); !given || header {
		first, err := r.Read()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, plan.Permanent("bad_data", "the CSV cannot be read: %v", err)
		}
		if columns == nil {
			columns = slices.Clone(first)
		}
	}
	if twice := repeated(columns); twice != "" {
		return nil, plan.Permanent("bad_data", "the column %q exists twice: name the columns with columns:, and write header: true", twice)
	}
	numbers, _ := in.With["numbers"].(bool)
	rows, err := rowsOf(r, columns, numbers)
	if err != nil {
		return nil, err
	}
	list := make([]any, len(columns))
	for i, c := range columns {
		list[i] = c
	}
	return fit(map[string]any{"rows": rows, "columns": list, "count": len(rows)})
}

// rowsOf reads the rows: objects if there are column names, otherwise lists.
func rowsOf(r *csv.Reader, columns []string, numbers bool) ([]any, error) {
	rows, cells := []any{}, 0
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, plan.Permanent("bad_data", "the CSV cannot be read: %v", err)
		}
		if cells += len(record) + 1; cells > value.MaxJSONNodes {
			return nil, plan.Permanent("too_large", "the CSV has more than %d cells: split it", value.MaxJSONNodes)
		}
		line, _ := r.FieldPos(0)
		if len(columns) == 0 {
			row := make([]any, len(record))
			for i, cell := range record {
				row[i] = cellOf(cell, numbers)
			}
			rows = append(rows, row)
			continue
		}
		if len(record) != len(columns) {
			return nil, plan.Permanent("bad_data", "line %d of the CSV has %d cells, but there are %d columns (is delimiter: right?)", line,
				len(record), len(columns))
		}
		row := make(map[string]any, len(columns))
		for i, c := range columns {
			row[c] = cellOf(record[i], numbers)
		}
		rows = append(rows, row)
	}
}

// cellOf returns a cell as a number if requested and possible without loss.
func cellOf(s string, numbers bool) any {
	if !numbers || s == "" {
		return s
	}
	if n, err := strconv.Atoi(s); err == nil && strconv.Itoa(n) == s {
		return n
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && strconv.FormatFloat(f, 'f', -1, 64) == s {
		return f
	}
	return s
}

func repeated(list []string) string {
	seen := map[string]bool{}
	for _, s := range list {
		if seen[s] {
			return s
		}
		seen[s] = true
	}
	return ""
}

// delimiter parses a delimiter, given by name or as a character.
func delimiter(v any) (rune, error) {
	switch s := value.Shown(v); {
	case v == nil, s == "comma":
		return ',', nil
	case s == "semicolon":
		return ';', nil
	case s == "tab":
		return '\t', nil
	case s == "pipe":
		return '|', nil
	case utf8.RuneCountInString(s) == 1 && !strings.ContainsAny(s, "\"\r\n\ufffd"):
		r, _ := utf8.DecodeRuneInString(s)
		return r, nil
	default:
		return 0, plan.Permanent("invalid_input", "delimiter %q is not known: comma, semicolon, tab, pipe, or one character",
			value.CutText(s, 20))
	}
}

// Do implements engine.Action.
func (CSVMake) Do(ctx context.Context, in engine.Input) (any, error) {
	sep, err := delimiter(in.With["delimiter"])
	if err != nil {
		return nil, err
	}
	rows, ok := in.With["rows"].([]any)
	if !ok {
		return nil, plan.Permanent("invalid_input", "rows is a list of objects, or of lists")
	}
	columns, err := names("columns", in.With["columns"])
	if err != nil {
		return nil, err
	}
	if columns == nil {
		columns = fieldsOf(rows)
	}
	safe, _ := in.With["spreadsheet"].(bool)
	out := &bounded{}
	if safe {
		out.WriteString("\ufeff")
	}
	w := csv.NewWriter(out)
	w.Comma, w.UseCRLF = sep, true
	if header, given := in.With["header"].(bool); (!given || header) && len(columns) > 0 {
		_ = w.Write(columns) // the error is kept for w.Error
	}
	for i, row := range rows {
		cells, err := cellsOf(row, columns, safe)
		if err != nil {
			return nil, plan.Permanent("invalid_input", "rows[%d] %v", i, err)
		}
		if err := w.Write(cells); err != nil {
			return nil, plan.Permanent("too_large", "the CSV: %v", err)
		}
	}
	if w.Flush(); w.Error() != nil {
		return nil, plan.Permanent("too_large", "the CSV: %v", w.Error())
	}
	return fit(map[string]any{"text": out.String(), "count": len(rows)})
}

// fieldsOf returns the fields of all rows that are objects.
func fieldsOf(rows []any) []string {
	seen := map[string]bool{}
	var out []string
	for _, r := range rows {
		m, _ := r.(map[string]any)
		for k := range m {
			if !seen[k] {
				seen[k] = true
				out = append(out, k)
			}
		}
	}
	slices.Sort(out)
	return out
}

func cellsOf(row any, columns []string, safe bool) ([]string, error) {
	var cells []any
	switch row := row.(type) {
	case []any:
		cells = row
	case map[string]any:
		for _, c := range columns {
			cells = append(cells, row[c])
		}
	default:
		return nil, errors.New("is neither an object nor a list")
	}
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = value.Shown(c)
		if s, isText := c.(string); safe && isText && s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
			out[i] = "'" + s // OWASP, CSV injection
		}
	}
	return out, nil
}

// bounded is a text limited to the size of a step's output.
type bounded struct{ strings.Builder }

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > value.MaxSize {
		return 0, errors.New("it is larger than 4 MiB: write fewer rows at once")
	}
	return b.Builder.Write(p)
}
