// Package workflows is the language that people write: project files, workflow
// files and templates, read strictly and checked as a whole, so that every mistake is
// reported with its place and the likely fix.
//
// In five sentences: one file is one workflow. on starts it, when decides, steps
// run in order. Keys that hold a condition or a path are expressions as they
// stand; everything else is a value, in which ${{ }} inserts. A value that is
// exactly one ${{ }} keeps its type. Data is never code: a value is rendered
// once, and the result is not evaluated again.
//
// The files: spec.go and its parts (specworkflow.go, spectrigger.go, …) are the
// grammar. yaml.go, expand.go, node.go and scalar.go read YAML by it. workflow.go,
// step.go and trigger.go are the documents, loader.go reads a project. check.go,
// checkstep.go, checkuses.go and checktrigger.go check what needs more than one key.
// stepkind.go is the table of what a step can do; each kind has a file (stepuses.go,
// stepwait.go, …) and the planner a case for it.
// expression.go ties an expression to its place, template.go renders values, mistake.go
// words messages.
//
// Expressions are package workflows/expr, plain data and its JSON package workflows/value,
// and the nearest word to a misspelled one is found by package workflows/spelling.
//
// The package must not know how anything is run, stored or sent. It alone imports yaml.
package workflows
