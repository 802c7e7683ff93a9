package store_test

import (
	"testing"

	"github.com/hookloom/hookloom/engine/store/storetest"
)

// TestGivenDatabasePassesTheStoreSuite runs the contract's suite on the database that the
// environment names.
func TestGivenDatabasePassesTheStoreSuite(t *testing.T) { storetest.Run(t, storetest.Fresh) }

// TestPostgreSQLPassesTheStoreSuite runs it on PostgreSQL, where that is installed.
func TestPostgreSQLPassesTheStoreSuite(t *testing.T) {
	storetest.Run(t, storetest.Postgres)
}
