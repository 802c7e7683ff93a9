// Package expr is the expressions of the language: it checks one against the names that
// its place offers, compiles it, and evaluates it within bounds of work, memory and time.
//
//	scope.go, types.go    the names that a place offers, and their types
//	check.go, lint.go     Check: one expression against a scope; names before types
//	errors.go             the wording of syntax and type errors
//	samples.go, ...       further checks of Check: stepfields.go, foreigncalls.go,
//	                      statuscheck.go, constcalls.go
//	expr.go               Compile, Eval and Condition; words.go words what fails then
//	pathexpr.go           the short cut for an expression that is only a path
//	guard.go              puts metered functions in place of operators and builtins
//	meter.go, metered.go  the budget of one evaluation, and what is charged to it
//	funcs.go, ...         the functions: builtins.go, binary.go, lists.go, regex.go,
//	                      money.go, timetext.go
//	integers.go           exact arithmetic of whole numbers; decimal.go that of decimals
//	fields.go             which fields of a name an expression reads
//	scan.go               where an expression ends in a text
//
// To add a function, add one entry to a table of funcs.go, with an example that a test
// runs. Two evaluations with equal Envs give equal results.
//
// The package must not know files, YAML or where an expression stands: what Check finds
// is at a letter of the expression, and the caller places it in a file. It must not know
// steps, triggers or runs beyond the names and types of a Scope. It alone imports the
// expression language github.com/expr-lang/expr and the decimals of cockroachdb/apd.
package expr
