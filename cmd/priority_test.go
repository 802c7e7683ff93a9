package cmd

import "testing"

// TestBacktestInAServerKeepsTheServersPriority checks that a backtest that a server carries out for an agent
// does not lower the priority of the server: it has to rest instead.
func TestBacktestInAServerKeepsTheServersPriority(t *testing.T) {
	if giveWay(t.Context()) {
		t.Error("the priority of a process that does other things was lowered")
	}
}
