//go:build !unix

package secrets

import "os/exec"

// endWithChildren does nothing on systems without process groups.
func endWithChildren(*exec.Cmd) {}
