package postgrestest

import (
	"errors"
	"os/exec"
)

// Servers of ours are started on Unix only (prepare), so nothing here is called for one.

func runAs(*exec.Cmd, *account) {}

func kill(int) error { return errors.ErrUnsupported }

func running(int) bool { return false }

func freeze(int) {}

func resume(int) {}
