//go:build !unix

package postgreslocal

import "syscall"

const supported = false

func attributes(*owner) *syscall.SysProcAttr { return nil }
