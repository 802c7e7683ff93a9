// Package workflows is the language that people write: project files, workflow
// files, expressions and templates, read strictly and checked as a whole, so
// that every mistake is answered with its place and the likely fix.
//
// In five sentences: one file is one workflow. on starts it, when decides, steps
// run in order. Keys that hold a condition or a path are expressions as they
// stand; everything else is a value, in which ${{ }} inserts. A value that is
// exactly one ${{ }} keeps its type. Data is never code: a value is rendered
// once, and what comes out is not looked at again.
//
// Find your way: spec.go is the grammar, decode.go reads YAML by it, workflow.go,
// step.go and trigger.go are the documents, check.go and checkstep.go what needs
// more than one key, exprcheck.go and expr.go the two compilations of an
// expression, funcs.go its functions, template.go values, mistake.go messages.
//
// The package must not know how anything is run, stored or sent. It alone
// imports yaml and expr.
package workflows
