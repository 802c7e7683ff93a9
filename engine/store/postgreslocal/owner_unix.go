//go:build unix

package postgreslocal

import "syscall"

// supported reports whether this system has what the package needs: users, process groups, a shell.
const supported = true

// attributes are those of a process of the owner, nil for this user, in a group of its own.
func attributes(as *owner) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if as != nil {
		a.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid}
	}
	return a
}
