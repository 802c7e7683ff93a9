// Hookloom turns webhooks into workflows: it verifies deliveries, stores them before it answers,
// runs each event once, and records everything. See README.md, or hookloom help.
package main

import (
	"os"

	"github.com/hookloom/hookloom/cmd"
)

func main() {
	os.Exit(cmd.Main(os.Args[1:], os.Stdout, os.Stderr))
}
