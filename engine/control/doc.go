// Package control executes what operators request: answering a waiting run (also by a signed link),
// replaying a run or deciding an event again, single or in a batch, switching a workflow off and
// on, pruning the history, changing a stored value. Each request is one transaction of the store; two
// goroutines, RunBatches and RunPruning, belong to the caller. It must not know how runs are
// executed, nor HTTP or authorization: what it needs of the machine is the interface Machine.
package control
