//go:build unix

package cmd

import (
	"runtime"
	"syscall"
	"time"
)

// This file is what the commands ask of Linux, macOS and other Unix systems.

// fileLimit returns how many files and connections the process may have open.
func fileLimit() (limit uint64, limited bool) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return l.Cur, err == nil
}

// cpuTime returns the CPU time that the process has used on all cores.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakMemory returns the maximum resident memory of the process in bytes. The kernel reports
// kilobytes on Linux, and bytes on macOS (getrusage(2)).
func peakMemory() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}
