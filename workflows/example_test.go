package workflows_test

import (
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// logAction is the only action of the examples.
var logAction = workflows.Catalog{Actions: workflows.NewActions(map[string]*workflows.ActionSpec{
	"log": {Name: "log", Inputs: []workflows.ActionInput{{Name: "message", Type: "string"}}},
}, nil)}

func ExampleLoadFiles() {
	files := workflows.Files{"workflows/hello.yaml": []byte("on: manual\nsteps:\n  - {id: greet, uses: log, with: {message: hello}}\n")}
	project, mistakes := workflows.LoadFiles(".", files, logAction, nil)
	fmt.Println(mistakes.Errors(), "mistakes")
	for _, step := range project.Workflows["hello"].Steps {
		fmt.Println(step.ID, step.Uses)
	}
	// Output:
	// 0 mistakes
	// greet log
}

func ExampleMistake() {
	files := workflows.Files{"workflows/hello.yaml": []byte("on: manual\nsteps:\n  - {uess: log, with: {message: hello}}\n")}
	_, mistakes := workflows.LoadFiles(".", files, logAction, nil)
	for _, m := range mistakes {
		fmt.Print(m)
	}
	// Output:
	// workflows/hello.yaml:3:6: error[unknown-key]: unknown key "uess" in a step
	//     3 |   - {uess: log, with: {message: hello}}
	//       |      ^^^^ did you mean "uses"?
}

func ExampleWorkflow() {
	files := workflows.Files{"workflows/ship.yaml": []byte(`on: manual
inputs: {order: {type: string, required: true}}
steps:
  - {id: told, uses: log, with: {message: "order ${{ inputs.order }}"}}
`)}
	project, _ := workflows.LoadFiles(".", files, logAction, nil)
	w := project.Workflows["ship"]

	// The planner returns the steps that are due; it does not run them.
	inputs := map[string]any{"order": "A7"}
	state := plan.NewState(w, map[string]any{"type": "manual"}, inputs, "run_1", time.Unix(1_700_000_000, 0))
	for _, due := range plan.Next(state).Due {
		fmt.Println(due.Path, due.Step.Uses, due.With["message"])
	}
	// Output: told log order A7
}

func ExampleValue_Render() {
	files := workflows.Files{"workflows/ship.yaml": []byte(`on: manual
steps: [{uses: log, with: {message: "to ${{ event.data.name }}"}}]
`)}
	project, _ := workflows.LoadFiles(".", files, logAction, nil)
	message := project.Workflows["ship"].Steps[0].With.Field("message")
	env := &expr.Env{Names: expr.Names{"event": map[string]any{"data": map[string]any{"name": "Ada"}}}}
	fmt.Println(message.Render(env, workflows.FillPlain))
	// Output: to Ada <nil>
}
