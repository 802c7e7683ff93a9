package store

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// utf8Text is bodyAsText for bodies of UTF-8 and those that are marked as something else; other bodies are an error.
// body_text, which reads all, begins a subtransaction for each body: that takes a third of the time of a search.
const utf8Text = `CASE WHEN e.not_utf8 = 1 THEN ` + bodyAsText + ` ELSE convert_from(e.body, 'UTF8') COLLATE "C" END`

// notUTF8 is character_not_in_repertoire: bytes that are no UTF-8, or zero.
const notUTF8 = "22021"

// searchText reads the rows of a query that may search in bodies. On PostgreSQL it expects that they are UTF-8, and
// reads again if one is not.
func searchText[T any](h *History, query string, read func(query string) (T, error)) (T, error) {
	if !h.postgres || !strings.Contains(query, bodyAsText) {
		return read(query)
	}
	out, err := read(strings.ReplaceAll(query, bodyAsText, utf8Text))
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == notUTF8 {
		return read(query)
	}
	return out, err
}
