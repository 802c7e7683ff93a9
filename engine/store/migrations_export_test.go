package store

import (
	"io/fs"
	"testing"
)

// Migrations are the files of this program.
func Migrations() fs.FS { return postgresqlMigrations }

// PostgresVersions lists the migrations of PostgreSQL.
func PostgresVersions(t testing.TB) []string {
	t.Helper()
	files, err := postgresFiles()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// WithMigrations opens a database as a program with other migrations does. Nothing else may open one
// meanwhile.
func WithMigrations(files fs.FS, open func() *Store) *Store {
	before := migrationFiles
	migrationFiles = files
	defer func() { migrationFiles = before }()
	return open()
}
