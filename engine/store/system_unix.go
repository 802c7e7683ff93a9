//go:build unix

package store

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// This file is what the store asks of Linux, macOS and other Unix systems.

// errNotFolder, errNoSpace, diskFull and noDescriptors are the errors that the store recognizes.
const (
	errNotFolder = syscall.ENOTDIR
	errNoSpace   = syscall.ENOSPC
)

var (
	diskFull      = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT}
	noDescriptors = []syscall.Errno{syscall.EMFILE, syscall.ENFILE}
)

// identify returns the identity and the size of the file at path. It opens nothing (moved.go).
func identify(path string) (fileID, int64, error) {
	var st syscall.Stat_t
	err := syscall.Stat(path, &st)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Stat(path, &st)
	}
	return fileID{uint64(st.Dev), st.Ino}, st.Size, err //nolint:unconvert // Dev's type differs between systems
}

// identifyOpen returns the identity of an open file.
func identifyOpen(f *os.File) (fileID, error) {
	var st syscall.Stat_t
	err := syscall.Fstat(int(f.Fd()), &st)
	return fileID{uint64(st.Dev), st.Ino}, err //nolint:unconvert // as above
}

// tryLock takes the lock of the database, alone or shared, unless another process has it.
func tryLock(f *os.File, alone bool) (bool, error) {
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX
	}
	err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}

// startWaiting and stopWaiting tell the holder of the lock whether this process waits for it. A record
// lock is independent of a flock.
func startWaiting(f *os.File) (bool, error) {
	err := recordLock(f, syscall.F_RDLCK)
	return err == nil, err
}

func stopWaiting(f *os.File) error { return recordLock(f, syscall.F_UNLCK) }

func recordLock(f *os.File, kind int16) error {
	return syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: kind, Start: wanted, Len: 1})
}

// isWanted reports whether another process waits for the lock.
func isWanted(f *os.File) bool {
	l := syscall.Flock_t{Type: syscall.F_WRLCK, Start: wanted, Len: 1}
	return syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &l) == nil && l.Type != syscall.F_UNLCK
}

// DiskSpace returns the free and total bytes of a folder's disk.
func DiskSpace(dir string) (free, total int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// allocated returns the bytes that a file occupies on the disk.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// fileLimit returns how many files the process may open.
func fileLimit() (limit uint64, limited bool) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return l.Cur, err == nil
}

// processEnded reports whether no process has the id.
func processEnded(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
