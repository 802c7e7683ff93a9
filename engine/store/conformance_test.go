package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// TestSQLitePassesTheSuiteOfAllStores runs the contract's suite on SQLite. It cuts no power,
// so that nothing has to be synced.
func TestSQLitePassesTheSuiteOfAllStores(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Open {
		path := filepath.Join(t.TempDir(), "x.db")
		return func(fault func(int) error) (storetest.Opened, error) {
			s, err := store.Open(t.Context(), path, store.Options{Fault: fault, Synchronous: "OFF"})
			if err != nil {
				return storetest.Opened{}, err
			}
			h := s.History()
			wrong := func(ctx context.Context) (out []string, err error) {
				found, err := h.Check(ctx)
				for _, f := range found {
					if len(f.Wrong) > 0 {
						out = append(out, fmt.Sprintf("not true that %s: %v", f.What, f.Wrong))
					}
				}
				return out, err
			}
			return storetest.Opened{Store: s, History: h, Wrong: wrong, Close: s.Close}, nil
		}
	})
}
