//go:build !linux

package postgres

// limitUnanswered does nothing: without TCP_USER_TIMEOUT the system decides.
func limitUnanswered(uintptr) {}
