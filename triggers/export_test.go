package triggers

// SchemeOf is the scheme of a preset's variant, for tests that look at all of them.
var SchemeOf = scheme
