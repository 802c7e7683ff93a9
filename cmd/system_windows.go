package cmd

import (
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// This file is what the commands ask of Windows.

// fileLimit returns how many files and connections the process may have open: Windows has no limit of
// that kind.
func fileLimit() (limit uint64, limited bool) { return 0, false }

// cpuTime returns the CPU time that the process has used on all cores.
func cpuTime() time.Duration {
	var created, ended, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(windows.CurrentProcess(), &created, &ended, &kernel, &user); err != nil {
		return 0
	}
	return hundredNanoseconds(kernel) + hundredNanoseconds(user)
}

// hundredNanoseconds converts a duration: Filetime.Nanoseconds is for points in time.
func hundredNanoseconds(t windows.Filetime) time.Duration {
	return time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime)) * 100
}

// memoryCounters is PROCESS_MEMORY_COUNTERS of psapi.h.
type memoryCounters struct {
	size, pageFaults                                 uint32
	peakWorkingSet, workingSet                       uintptr
	peakPagedPool, pagedPool, peakNonPaged, nonPaged uintptr
	pageFile, peakPageFile                           uintptr
}

// peakMemory returns the maximum resident memory of the process in bytes.
func peakMemory() int64 {
	m := memoryCounters{size: uint32(unsafe.Sizeof(memoryCounters{}))}
	read := windows.NewLazySystemDLL("kernel32.dll").NewProc("K32GetProcessMemoryInfo")
	if ok, _, _ := read.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&m)), uintptr(m.size)); ok == 0 {
		return 0
	}
	return int64(m.peakWorkingSet)
}
