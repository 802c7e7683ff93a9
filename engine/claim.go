package engine

// Owner identifies a process that works on the rows of a store. Each opening of a store has its own
// (Store.Owner).
//
// What one owner claims, no other owner gets, until it is decided or taken, or its owner is gone. A
// claim only assigns a row to a process; correctness does not depend on it, because Match, Take and
// CommitRun return Known or ErrStale to all but the first.
//
// A store that only one process can open may keep claims in memory: the claims of an owner that is
// gone end when the store is opened again. A store shared by several processes keeps claims with
// the rows, and frees those of an owner that does not renew its lease.
type Owner string
