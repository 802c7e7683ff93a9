// Hookloom turns webhooks into workflows: verified, stored before they are
// answered, run once, and logged. See README.md, or hookloom help.
package main

import (
	"os"

	"github.com/hookloom/hookloom/cmd"
)

func main() {
	os.Exit(cmd.Main(os.Args[1:], os.Stdout, os.Stderr))
}
