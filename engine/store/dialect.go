package store

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// This file translates the store's SQL for PostgreSQL. The statements are written once, in the SQL of
// SQLite: nearly all of them differ only in placeholders, hints, the names of a few functions, and the
// schema's name. Statements that differ in more have a text of their own in postgresql.go. A statement
// is translated once; SQLite executes its text unchanged.
//
// Tables are named with their schema, because a search path is a setting of a session, which a pooler
// such as PgBouncer does not keep in its transaction mode.

// schemaName is the schema of all tables, views and functions, unless the address names another.
const schemaName = "hookloom"

// token is a part of a statement. kind is the first byte that tells what it is: a letter for a word, a
// quote for a string, a digit for a number, a space, ? for a placeholder, else an operator.
type token struct {
	kind byte
	text string
}

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

// tokens splits a statement.
func tokens(query string) (out []token) {
	for i := 0; i < len(query); {
		begin, c := i, query[i]
		kind := c
		switch {
		case c == ' ' || c == '\n' || c == '\t':
			kind = ' '
			for i < len(query) && strings.IndexByte(" \n\t", query[i]) >= 0 {
				i++
			}
		case c == '\'':
			for i++; i < len(query) && (query[i] != '\'' || i+1 < len(query) && query[i+1] == '\''); i++ {
				if query[i] == '\'' {
					i++
				}
			}
			i++
		case c == '?':
			for i++; i < len(query) && query[i] >= '0' && query[i] <= '9'; i++ {
			}
		case isWord(c):
			if kind = 'a'; c >= '0' && c <= '9' {
				kind = '0'
			}
			for i < len(query) && isWord(query[i]) {
				i++
			}
		case strings.HasPrefix(query[i:], "->>"):
			i += 3
		default:
			i++
		}
		out = append(out, token{kind, query[begin:min(i, len(query))]})
	}
	return out
}

// translation holds the tokens of one statement while they are changed.
type translation struct {
	list []token
	// aliases counts the aliases given to subqueries.
	aliases int
}

// step returns the position of the next token that is no space, in direction 1 or -1; -1 if there is none.
func (t *translation) step(i, direction int) int {
	for i += direction; i >= 0 && i < len(t.list); i += direction {
		if t.list[i].kind != ' ' && t.list[i].text != "" {
			return i
		}
	}
	return -1
}

// text is the text of a token; empty for position -1.
func (t *translation) text(i int) string {
	if i < 0 {
		return ""
	}
	return t.list[i].text
}

// closing returns the position of the parenthesis that closes the one at i.
func (t *translation) closing(i int) int {
	depth := 0
	for ; i < len(t.list); i++ {
		switch t.list[i].text {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// arguments counts the arguments of the call whose parenthesis opens at i.
func (t *translation) arguments(i int) int {
	depth, n := 0, 1
	for ; i < len(t.list); i++ {
		switch t.list[i].text {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return n
			}
		case ",":
			if depth == 1 {
				n++
			}
		}
	}
	return n
}

// replacements are the names of functions that differ.
var replacements = map[string]string{"printf": schemaName + ".hex_id", "json_valid": schemaName + ".json_valid", "instr": "strpos"}

// tables are the tables and views of the schema.
var tables = strings.Fields(`meta nodes events keys sightings inbox decisions decision_history versions version_uses runs steps
	step_notes quarantine secret_uses answers waits ended_waits end_calls places newest paused inlets remembered observed poll_log
	audit ended_sessions switched_off held_runs project_files batches orders alerts claims conflicts kept_values kept_size kept_writes
	emitted kept_keys gatherings run_events cancel_keys feed tokens turn beats leases deciding shared_rules orders_to_nodes
	permit_starts permit_slots captured_secrets awaited_secrets certificates certificate_claims hour_counts dead_causes
	events_view runs_view steps_view`)

// translate returns the text of a statement in PostgreSQL's SQL.
func translate(query string) string {
	for _, x := range ownParts {
		query = strings.ReplaceAll(query, x.sqlite, x.postgresql)
	}
	t := translation{list: tokens(query)}
	number := 0
	for i := range t.list {
		switch x := &t.list[i]; x.kind {
		case '?':
			if number++; len(x.text) > 1 {
				x.text = "$" + x.text[1:]
			} else {
				x.text = "$" + strconv.Itoa(number)
			}
		case 'a':
			t.word(i)
		case '-':
			if x.text == "->>" {
				t.field(i)
			}
		case '(':
			t.subquery(i)
		case '+':
			if t.text(t.step(i, -1)) == "AND" { // it keeps SQLite from using an index
				x.text = ""
			}
		}
	}
	var b strings.Builder
	for _, x := range t.list {
		b.WriteString(x.text)
	}
	return b.String()
}

// inSchema returns a statement in the schema that an address names.
func inSchema(query, schema string) string {
	if schema == schemaName {
		return query
	}
	return strings.ReplaceAll(query, schemaName+".", schema+".")
}

// word translates a word.
func (t *translation) word(i int) {
	x, before, after := &t.list[i], t.text(t.step(i, -1)), t.step(i, 1)
	call := t.text(after) == "("
	switch {
	case x.text == "LIKE":
		x.text = "ILIKE" // SQLite's LIKE does not distinguish the case of ASCII letters
	case x.text == "ESCAPE" && t.text(after) == `'\'`:
		t.list[after].text, x.text = "", "" // it is the default, and without it the pattern is not computed for each row
	case x.text == "INDEXED" && t.text(after) == "BY":
		t.list[after].text, t.list[t.step(after, 1)].text, x.text = "", "", ""
	case x.text == "CROSS" && t.text(after) == "JOIN":
		x.text = "" // with CROSS, SQLite keeps the order of the tables
	case x.text == "CAST" && call:
		t.bodyText(i, after)
	case call && replacements[x.text] != "":
		x.text = replacements[x.text]
	case call && (x.text == "max" || x.text == "min") && t.arguments(after) > 1:
		x.text = map[string]string{"max": "greatest", "min": "least"}[x.text]
	case call && x.text == "json_each":
		// The text before is: column IN (SELECT value FROM.
		column := i
		for range 6 {
			column = t.step(column, -1)
		}
		x.text = schemaName + ".json_texts"
		if strings.HasSuffix(t.text(column), "id") {
			x.text = schemaName + ".json_ids"
		}
	case slices.Contains([]string{"FROM", "JOIN", "INTO", "UPDATE"}, before) && slices.Contains(tables, x.text):
		x.text = schemaName + "." + x.text
	}
}

// bodyText translates CAST(body AS TEXT), which reads bytes as text in SQLite.
func (t *translation) bodyText(i, open int) {
	end := t.closing(open)
	if end < 0 {
		return
	}
	if kind := t.step(end, -1); t.text(kind) == "TEXT" && t.text(t.step(kind, -1)) == "AS" {
		t.list[t.step(kind, -1)].text, t.list[kind].text = "", ""
		t.list[i].text = schemaName + ".body_text"
		t.list[end].text = `) COLLATE "C"` // searches fold ASCII letters only, as in SQLite
	}
}

// field translates column ->> '$.name'.
func (t *translation) field(i int) {
	name, column := t.step(i, 1), t.step(i, -1)
	if t.text(t.step(column, -1)) == "." {
		column = t.step(t.step(column, -1), -1)
	}
	t.list[column].text = schemaName + ".json_field(" + t.list[column].text
	t.list[i].text = ","
	t.list[name].text = strings.Replace(t.list[name].text, "'$.", "'", 1) + ")"
}

// subquery gives the subquery that opens at i an alias, if it is in a FROM and has none: before its
// version 16 PostgreSQL requires one.
func (t *translation) subquery(i int) {
	before, first := t.text(t.step(i, -1)), t.text(t.step(i, 1))
	if before != "FROM" && before != "JOIN" || first != "SELECT" && first != "WITH" {
		return
	}
	end := t.closing(i)
	if end < 0 {
		return
	}
	after := t.step(end, 1)
	if after >= 0 && t.list[after].kind == 'a' && !slices.Contains([]string{"WHERE", "ORDER", "GROUP", "LIMIT", "WINDOW", "UNION", "ON",
		"JOIN", "LEFT", "HAVING"}, t.text(after)) {
		return
	}
	t.aliases++
	t.list[end].text += " AS sub" + strconv.Itoa(t.aliases)
}

// translated holds the statements that readers have used. Their number is bounded by the number of
// filters that a list can combine; beyond maxTranslated they are translated each time.
var translated struct {
	sync.RWMutex
	texts map[string]string
}

const maxTranslated = 5000

// translateOnce is translate, which remembers its result.
func translateOnce(query string) string {
	translated.RLock()
	text, known := translated.texts[query]
	translated.RUnlock()
	if known {
		return text
	}
	text = translate(query)
	translated.Lock()
	defer translated.Unlock()
	if translated.texts == nil {
		translated.texts = map[string]string{}
	}
	if len(translated.texts) < maxTranslated {
		translated.texts[query] = text
	}
	return text
}
