// Package expr implements the expressions of the language: it checks an expression against the names
// available at its position, compiles it, and evaluates it within limits of work, memory and time.
//
//	scope.go, types.go    the names available at a position, and their types
//	check.go, lint.go     Check: an expression against a scope; names before types
//	errors.go             the messages for syntax and type errors
//	samples.go, ...       further checks of Check: stepfields.go, foreigncalls.go,
//	                      statuscheck.go, constcalls.go
//	expr.go               Compile, Eval and Condition; words.go has the messages of run-time errors
//	pathexpr.go           the fast path for an expression that is only a path
//	guard.go              replaces operators and builtins by metered functions
//	meter.go, metered.go  the budget of one evaluation, and what is charged to it
//	funcs.go, ...         the functions: builtins.go, binary.go, lists.go, regex.go,
//	                      money.go, timetext.go
//	integers.go           exact arithmetic of integers; decimal.go that of decimals
//	fields.go             which fields of a name an expression reads
//	scan.go               where an expression ends in a text
//
// To add a function, add one entry to a table of funcs.go, with an example that a test
// runs. Two evaluations with equal Envs give equal results.
//
// The package must not know files, YAML or the position of an expression in a file: Check
// reports character offsets within the expression, and the caller converts them. It must not know
// steps, triggers or runs beyond the names and types of a Scope. Only this package imports the
// expression language github.com/expr-lang/expr and the decimals of cockroachdb/apd.
package expr
