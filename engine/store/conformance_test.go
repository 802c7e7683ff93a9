package store_test

import (
	"testing"

	"github.com/hookloom/hookloom/engine/store/storetest"
)

// TestADatabasePassesTheSuiteOfAllStores runs the contract's suite on the database that the
// environment names.
func TestADatabasePassesTheSuiteOfAllStores(t *testing.T) { storetest.Run(t, storetest.Fresh) }

// TestAPostgreSQLDatabasePassesTheSuiteOfAllStores runs it on PostgreSQL, where that is installed.
func TestAPostgreSQLDatabasePassesTheSuiteOfAllStores(t *testing.T) {
	storetest.Run(t, storetest.Postgres)
}
