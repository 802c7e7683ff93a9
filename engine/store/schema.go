package store

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
)

// ErrEarlierSchema is the error for a database file with the schema of an earlier version of the program,
// which a server updates when it starts.
var ErrEarlierSchema = errors.New("made by an earlier hookloom")

// schemaFits reports with an error that the schema of a database file is that of another version of the
// program. A file that cannot be read has no error here: the first query reports what is wrong with it.
func (h *History) schemaFits() error {
	files, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil {
		return err
	}
	have, err := fileSchema(h.path)
	switch want := len(files); {
	case err != nil || have == want:
		return nil
	case have == 0:
		return fmt.Errorf("%s is not a Hookloom database, or has no tables yet: hookloom serve makes them, --db names another file", h.path)
	case have > want:
		return newerFile(h.path, have, want)
	default:
		return fmt.Errorf("%s was %w (schema %d, this one reads %d): hookloom backup copies it as it is, and hookloom serve "+
			"updates it when it starts", h.path, ErrEarlierSchema, have, want)
	}
}

// newerFile is the error for a database file whose schema has a higher number than this program knows.
func newerFile(path string, have, known int) error {
	return fmt.Errorf("%s was made by a newer hookloom (schema %d, this one knows %d): install that version or a later one", path, have, known)
}

// fileSchema reads the number of a database file's schema, 0 for none.
func fileSchema(path string) (n int, err error) {
	conn, err := openUntrusted(dsn(path, "ro", ""))
	if err != nil {
		return 0, err
	}
	text, err := queryText(conn, "PRAGMA user_version")
	if err = errors.Join(err, conn.Close()); err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}
