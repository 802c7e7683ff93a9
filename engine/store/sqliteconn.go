package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// fileConnector opens connections to an SQLite file. Its value is the driver's data source name.
type fileConnector string

// Connect opens one connection with the settings of [openUntrusted].
func (c fileConnector) Connect(context.Context) (driver.Conn, error) { return openUntrusted(string(c)) }

// Driver returns the driver of SQLite.
func (fileConnector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

// openUntrusted opens one connection that does not trust the file: a view or trigger in it calls no
// function with side effects (sqlite.org/pragma.html#pragma_trusted_schema), and a page whose
// cells are outside of it is reported as damaged (#pragma_cell_size_check). The driver has no
// parameters for the two and ignores unknown ones.
func openUntrusted(dsn string) (*sqlite3.SQLiteConn, error) {
	c, err := (&sqlite3.SQLiteDriver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver of SQLite returned another connection than its own"), c.Close())
	}
	for _, p := range []string{"PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON"} {
		if _, err := conn.Exec(p, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p, err), conn.Close())
		}
	}
	return conn, nil
}
