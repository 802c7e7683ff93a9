//go:build unix

package secrets

import (
	"os/exec"
	"syscall"
)

// endWithChildren makes the programs that c starts end with it.
func endWithChildren(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}
