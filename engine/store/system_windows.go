package store

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// This file is what the store asks of Windows.

// errNotFolder, errNoSpace, diskFull and noDescriptors are the errors that the store recognizes.
const (
	errNotFolder = windows.ERROR_DIRECTORY
	errNoSpace   = windows.ERROR_DISK_FULL
)

var (
	diskFull      = []syscall.Errno{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED}
	noDescriptors = []syscall.Errno{windows.ERROR_TOO_MANY_OPEN_FILES, windows.ERROR_NO_SYSTEM_RESOURCES}
)

// identify returns the identity and the size of the file at path. It opens the file without access to
// its data: that fails for no sharing mode of others and does not disturb their locks, which belong to
// their own handles.
func identify(path string) (fileID, int64, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return fileID{}, 0, err
	}
	h, err := windows.CreateFile(name, windows.FILE_READ_ATTRIBUTES,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return fileID{}, 0, err
	}
	id, size, err := identifyHandle(h)
	return id, size, errors.Join(err, windows.CloseHandle(h))
}

// identifyOpen returns the identity of an open file.
func identifyOpen(f *os.File) (fileID, error) {
	id, _, err := identifyHandle(windows.Handle(f.Fd()))
	return id, err
}

func identifyHandle(h windows.Handle) (fileID, int64, error) {
	var i windows.ByHandleFileInformation
	err := windows.GetFileInformationByHandle(h, &i)
	return fileID{uint64(i.VolumeSerialNumber), uint64(i.FileIndexHigh)<<32 | uint64(i.FileIndexLow)},
		int64(i.FileSizeHigh)<<32 | int64(i.FileSizeLow), err
}

// locked is the byte whose lock is the lock of the database. Locks of Windows keep others from reading
// and writing what they cover, so it is one behind the text.
const locked = wanted + 1

// lockByte locks one byte of the file, alone or shared, unless another handle has it.
func lockByte(f *os.File, at uint32, alone bool) (bool, error) {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if alone {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{Offset: at})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

func unlockByte(f *os.File, at uint32) error {
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &windows.Overlapped{Offset: at})
}

// tryLock takes the lock of the database, alone or shared, unless another process has it.
func tryLock(f *os.File, alone bool) (bool, error) { return lockByte(f, locked, alone) }

// startWaiting and stopWaiting tell the holder of the lock whether this process waits for it. For a moment
// in which the holder looks, startWaiting does not succeed.
func startWaiting(f *os.File) (bool, error) { return lockByte(f, wanted, false) }

func stopWaiting(f *os.File) error { return unlockByte(f, wanted) }

// isWanted reports whether another process waits for the lock.
func isWanted(f *os.File) bool {
	free, err := lockByte(f, wanted, true)
	if free {
		err = unlockByte(f, wanted)
	}
	return !free && err == nil
}

// DiskSpace returns the free and total bytes of a folder's disk.
func DiskSpace(dir string) (free, total int64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var available, all uint64
	if err := windows.GetDiskFreeSpaceEx(name, &available, &all, nil); err != nil {
		return 0, 0, err
	}
	return int64(available), int64(all), nil //nolint:gosec // no disk has 8 EiB
}

// allocated returns the bytes that a file occupies on the disk: files are not sparse unless a program
// asks for it.
func allocated(info fs.FileInfo) int64 { return info.Size() }

// fileLimit returns how many files the process may open: Windows has no limit of that kind.
func fileLimit() (limit uint64, limited bool) { return 0, false }

// processEnded reports whether no process has the id.
func processEnded(pid int) bool {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid)) //nolint:gosec // process ids are 32 bits
	if err != nil {
		return errors.Is(err, windows.ERROR_INVALID_PARAMETER)
	}
	var code uint32
	err = errors.Join(windows.GetExitCodeProcess(h, &code), windows.CloseHandle(h))
	return err == nil && code != stillActive
}

// stillActive is the exit code of a process that runs (STILL_ACTIVE).
const stillActive = 259
