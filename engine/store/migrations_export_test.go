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
	files, err := migrationsOf(postgresqlMigrations)
	if err != nil {
		t.Fatal(err)
	}
	return files
}
