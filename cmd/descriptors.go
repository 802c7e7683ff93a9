package cmd

import "os"

// This file distributes the file descriptors if the system allows the process few. The database's
// are open from the start; without a limit, clients could use up the rest and leave none for
// responses and outbound calls.

// budget is the maximum number of connections for each side; 0 is unlimited.
type budget struct {
	hooks, admin, outbound int
	// tight reports whether there are so few that none may be kept idle.
	tight bool
}

const (
	// manyFiles is the limit on open files from which no distribution is needed.
	manyFiles = 4096
	// reservedFiles are reserved for files that are open briefly: a reload, DNS, a file that a step
	// reads, a connection that is closed because there is no place.
	reservedFiles = 4
	// tightFiles is the number up to which no connection may be kept idle.
	tightFiles = 128
)

// descriptors distributes what the system's limit allows beyond the open files.
func descriptors() budget {
	limit, limited := fileLimit()
	if !limited || limit >= manyFiles {
		return budget{}
	}
	open := 24 // if /proc is missing
	if list, err := os.ReadDir("/proc/self/fd"); err == nil {
		open = len(list)
	}
	return shareOut(int(limit) - open - reservedFiles) //nolint:gosec // below manyFiles
}

func shareOut(free int) budget {
	admin := max(1, min(free/6, 128))
	outbound := max(2, (free-admin)*2/5)
	return budget{hooks: max(2, free-admin-outbound), admin: admin, outbound: outbound, tight: free < tightFiles}
}

// bound applies a budget to a listener's connections.
func (l *connections) bound(limit int, tight bool) {
	if limit > 0 {
		l.limit, l.tight = limit, tight
	}
}
