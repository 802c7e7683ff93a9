package store

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/mattn/go-sqlite3"
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
		return fmt.Errorf("%s was made by a newer hookloom (schema %d, this one knows %d): install that version or a later one",
			h.path, have, want)
	default:
		return fmt.Errorf("%s was %w (schema %d, this one reads %d): hookloom backup copies it as it is, and hookloom serve "+
			"updates it when it starts", h.path, ErrEarlierSchema, have, want)
	}
}

// fileSchema reads the number of a database file's schema, 0 for none.
func fileSchema(path string) (n int, err error) {
	c, err := (&sqlite3.SQLiteDriver{}).Open(dsn(path, "ro", ""))
	if err != nil {
		return 0, err
	}
	conn, ok := c.(*sqlite3.SQLiteConn)
	if !ok {
		return 0, errors.Join(errors.New("the driver of SQLite returned another connection than its own"), c.Close())
	}
	text, err := queryText(conn, "PRAGMA user_version")
	if err = errors.Join(err, conn.Close()); err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}
