// Package control carries out what people order: to answer a waiting run (also by a signed
// link), to repeat a run or to decide an event again, one or many in a batch, to switch a
// workflow off and on, to prune the history, to change a kept value. Each order is one
// transaction of the store; two goroutines, RunBatches and RunPruning, belong to the caller. It
// must not know how runs are executed, nor HTTP and who may give an order: what it needs of the
// machine is the interface Machine.
package control
