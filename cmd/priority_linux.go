package cmd

import (
	"errors"
	"os"
	"strconv"
	"syscall"
)

// background is the niceness of background work: 19 is the lowest priority, at which work gets what
// others leave.
const background = 19

// lowerPriority makes background work of this process. On Linux the niceness is that of a thread, and
// new threads have that of the one that starts them (setpriority(2), "C library/kernel differences").
func lowerPriority() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, background); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}
