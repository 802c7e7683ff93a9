// Package examples embeds complete projects that a user can copy. The tests run all of them, and
// hookloom demo runs three. It contains only files and must import nothing of Hookloom.
package examples

import "embed"

// Files holds one folder for each project, and demo.yaml.
//
//go:embed all:approval all:bursts all:payment all:push all:order all:lead all:invoice all:polling-vs-webhooks demo.yaml
var Files embed.FS
