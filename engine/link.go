package engine

import (
	"errors"
)

// ErrLink means that a link was not made by this installation, has expired, or was used.
var ErrLink = errors.New("this link is no longer valid")
