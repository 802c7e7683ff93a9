//go:build unix

package postgrestest

import (
	"errors"
	"syscall"
)

// kill ends a process, which may have ended already.
func kill(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

func running(pid int) bool { return syscall.Kill(pid, 0) == nil }

// freeze and resume stop and continue a process, which may have ended.
func freeze(pid int) { _ = syscall.Kill(pid, syscall.SIGSTOP) }

func resume(pid int) { _ = syscall.Kill(pid, syscall.SIGCONT) }

// free is the number of bytes that can be written under a folder, 0 if that is not known.
func free(folder string) uint64 {
	var s syscall.Statfs_t
	if syscall.Statfs(folder, &s) != nil {
		return 0
	}
	return s.Bavail * uint64(s.Bsize) // a block's size is signed on Linux, unsigned on macOS
}
