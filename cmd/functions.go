package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/spf13/cobra"
)

// functionsCmd lists the functions that expressions may call.
func (a *app) functionsCmd() *cobra.Command {
	return &cobra.Command{Use: "functions [NAME]", Short: "List the functions of expressions, with an example each",
		Args: cobra.MaximumNArgs(1),
		Long: `Lists every function that an expression may call. Each example is an expression
that is true.`,
		Example: "  hookloom functions\n  hookloom functions money\n  hookloom functions --output json",
		RunE: func(c *cobra.Command, args []string) error {
			list := expr.Functions()
			if len(args) == 1 {
				i := slices.IndexFunc(list, func(f expr.FunctionHelp) bool { return strings.EqualFold(f.Name, args[0]) })
				if i < 0 {
					return &exitError{exitUsage, fmt.Errorf("there is no function %s; hookloom functions lists them", args[0])}
				}
				list = list[i : i+1]
			}
			if a.json() {
				return a.printJSON(map[string]any{"items": list})
			}
			if len(args) == 1 {
				a.printf("%s: %s\n\n  %s\n", list[0].Name, list[0].Help, list[0].Example)
				return nil
			}
			t := newTable("FUNCTION", "RESULT", "EXAMPLE (TRUE)")
			for _, f := range list {
				t.row(f.Name, f.Help, f.Example)
			}
			return t.print(a.out)
		}}
}
