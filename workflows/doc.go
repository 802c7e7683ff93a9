// Package workflows implements the workflow language: project files, workflow files and templates.
// It reads files strictly and checks a project as a unit, and reports every mistake with its
// position and a likely fix.
//
// The language in short: A file is a workflow. on starts it, when decides, steps run in order. Keys
// that hold a condition or a path are expressions; every other value is data in which ${{ }}
// inserts. A value that consists of one ${{ }} keeps its type. Data is never evaluated: a value is
// rendered once, and the result is not parsed again.
//
// The files: spec.go and its parts (specworkflow.go, spectrigger.go, …) define the grammar.
// yaml.go, expand.go, node.go and scalar.go read YAML by that grammar. workflow.go, step.go and
// trigger.go define the documents; loader.go reads a project. check.go, checkstep.go, checkuses.go
// and checktrigger.go do the checks that need more than one key. stepkind.go is the table of step
// kinds; each kind has a file (stepuses.go, stepwait.go, …), and the planner has a case for it.
// expression.go ties an expression to its position, template.go renders values, mistake.go formats
// messages.
//
// Package workflows/expr implements expressions, package workflows/value plain data and its JSON,
// and package workflows/spelling finds the nearest word to a misspelled one.
//
// The package must not know how anything is run, stored or sent. No other package imports yaml.
package workflows
