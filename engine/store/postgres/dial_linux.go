package postgres

import "syscall"

// userTimeout is TCP_USER_TIMEOUT (tcp(7)), which package syscall does not have.
const userTimeout = 18

// limitUnanswered limits how long what was sent may stay unconfirmed, which keepalives do not.
func limitUnanswered(socket uintptr) {
	// A kernel without it waits as long as it did.
	_ = syscall.SetsockoptInt(int(socket), syscall.IPPROTO_TCP, userTimeout, int(deadTime.Milliseconds()))
}
