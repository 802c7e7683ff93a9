// Package examples embeds complete projects that a user can copy. Each is run
// by the tests, and three of them by hookloom demo. It holds files only and
// must import nothing of Hookloom.
package examples

import "embed"

// Files holds one folder for each project, and demo.yaml.
//
//go:embed all:approval all:bursts all:payment all:push all:order all:lead all:invoice all:polling-vs-webhooks demo.yaml
var Files embed.FS
