package cmd

import "context"

// ownProcess marks the context of a command that is all that its process does; commands that a server
// carries out for others have none.
type ownProcess struct{}

func inOwnProcess(ctx context.Context) context.Context {
	return context.WithValue(ctx, ownProcess{}, true)
}

// giveWay lets the other processes of the machine go first, and reports whether this could be asked
// for: only where the process does nothing else.
func giveWay(ctx context.Context) bool {
	return ctx.Value(ownProcess{}) != nil && lowerPriority() == nil
}
