//go:build !linux

package cmd

import "errors"

// lowerPriority is not supported on this system.
func lowerPriority() error { return errors.ErrUnsupported }
