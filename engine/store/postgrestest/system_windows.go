package postgrestest

import "errors"

// Servers of ours are started on Unix only (postgreslocal), so nothing here is called for one.

func kill(int) error { return errors.ErrUnsupported }

func running(int) bool { return false }

func freeze(int) {}

func resume(int) {}

func free(string) uint64 { return 0 }
