package store

import (
	"path/filepath"
	"testing"
)

// Each connection, for writing or reading, has the settings that protect it from a prepared or damaged file.
func TestNoConnectionTrustsTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	conn, err := openConn(path, "rwc", "FULL")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	db, err := OpenReaders(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, want := range map[string]string{"trusted_schema": "0", "cell_size_check": "1"} {
		if got, err := queryText(conn, "PRAGMA "+name); got != want || err != nil {
			t.Errorf("writer: %s is %s, %v", name, got, err)
		}
		var got string
		if err := db.QueryRow("PRAGMA " + name).Scan(&got); got != want || err != nil {
			t.Errorf("reader: %s is %s, %v", name, got, err)
		}
	}
}
