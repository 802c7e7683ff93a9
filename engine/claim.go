package engine

// Owner names a process that works on what a store holds. Each opening of a store has one of
// its own (Store.Owner).
//
// What one owner claims, no other gets, until it is decided or taken up, or its owner is
// gone. A claim is about who works on a row. That the work is done once does not rest on it:
// Match, Take and CommitRun say Known or ErrStale to all but the first.
//
// A store that one process alone can open may keep claims in memory: what belongs to an
// owner that is gone is free when the store is opened again. A store of several processes
// keeps them with the rows, and frees those of an owner that does not renew its lease.
type Owner string
