package engine

import (
	"errors"
)

// ErrLink is a link that was not made here, is out of date, or was used.
var ErrLink = errors.New("this link is no longer valid")
