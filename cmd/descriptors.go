package cmd

import (
	"os"
	"syscall"
)

// This file shares the file descriptors out when the system allows the process few.
// The database's are open from the start; without this the rest would go to whoever
// connects first, and nothing would be left to answer or to call out with.

// budget is how many connections each side may have; 0 is any number.
type budget struct {
	hooks, admin, outbound int
	// tight reports whether there are so few that none may be kept idle.
	tight bool
}

const (
	// manyFiles is the limit on open files from which nothing has to be shared out.
	manyFiles = 4096
	// reservedFiles are left for what opens a file for a moment: a reload, DNS, a file
	// that a step reads, the connection that is closed for want of a place.
	reservedFiles = 4
	// tightFiles is how many are to be shared out when no connection may be kept idle.
	tightFiles = 128
)

// descriptors shares out what the system's limit leaves beside what is open.
func descriptors() budget {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur >= manyFiles {
		return budget{}
	}
	open := 24 // where /proc is missing
	if list, err := os.ReadDir("/proc/self/fd"); err == nil {
		open = len(list)
	}
	return shareOut(int(limit.Cur) - open - reservedFiles) //nolint:gosec // below manyFiles
}

func shareOut(free int) budget {
	admin := max(1, min(free/6, 128))
	outbound := max(2, (free-admin)*2/5)
	return budget{hooks: max(2, free-admin-outbound), admin: admin, outbound: outbound, tight: free < tightFiles}
}

// bound applies a share to a listener's connections.
func (l *connections) bound(limit int, tight bool) {
	if limit > 0 {
		l.limit, l.tight = limit, tight
	}
}
