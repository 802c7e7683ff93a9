package workflows_test

import (
	"strings"
	"testing"
)

// TestKeyOfAnotherToolGetsAHint checks the hints for keys, units and structures that
// users of other tools write.
func TestKeyOfAnotherToolGetsAHint(t *testing.T) {
	const on = `on: {webhook: {provider: generic, secret: "${{ secrets.S }}", key: body.id}}` + "\n"
	for text, hint := range map[string]string{
		"nodes: [{name: x}]":                                                "write steps",
		"action: {app: x}":                                                  "write steps",
		on + "gather: {}\nsteps: [{stop: x}]":                               "write batch",
		on + "tags: [a]\nsteps: [{stop: x}]":                                "folders group workflows",
		on + "server: {}\nsteps: [{stop: x}]":                               "it belongs in hookloom.yaml",
		on + "inputs: [a]\nsteps: [{stop: x}]":                              "write inputs: {order: {type: string, required: true}}",
		on + "steps: [{pause: 5m}]":                                         "write sleep",
		on + "steps: [{code: x}]":                                           "steps run no code",
		on + "steps: [{while: 'true'}]":                                     "goes through a list",
		on + "steps: [{vars: {a: 1}}]":                                      "write set",
		on + "steps: [{return: x}]":                                         "write stop: TEXT",
		on + "steps: [{sleep: {for: 5m}}]":                                  "write the duration itself: sleep: 5m",
		on + "steps: [{sleep: 1h30}]":                                       "write 1h30m",
		on + "steps: [{sleep: PT5M}]":                                       "write 5m",
		on + "steps: [{sleep: P1DT12H}]":                                    "write 1d12h",
		on + "steps: [{sleep: 500}]":                                        "write 500s, or 500ms for milliseconds",
		on + "steps: [{call: {workflow: x}}]":                               "write call: NAME, and its inputs in with:",
		on + "steps: [{call: ./x.yaml}]":                                    "write it: workflows/x.yaml with on: call",
		on + "steps: [{parallel: {a: []}}]":                                 "write a list: parallel:",
		on + "steps: [{wait: {approval: x, remind: 1h}}]":                   "a wait sends no reminders",
		on + "steps:\n- uses: http/post\n  with:\n  url: https://x.example": "indent the lines of it by two more spaces",
		"on:\nwebhook: {provider: generic}\nsteps: [{stop: x}]":             "on: is empty",
		"on:\n  webhook:\n  provider: generic\nsteps: [{stop: x}]":          "indent provider: by two more spaces",
		`on: {schedule: {cron: "0 7 * * *", tz: UTC}}`:                      "write timezone",
		`on: {schedule: {every: 1d, at: "07:00"}}`:                          "write the time as cron:",
		`on: {schedule: {cron: * 7 * * *}}`:                                 `write "* 7 * * *"`,
		`on: {poll: {url: "https://x.example"}}`:                            "write it inside request:",
		`on: {poll: {every: 5m, key: item["id"]}}`:                          "put the value in quotes",
		`on: {webhook: {header: X-Sig}}`:                                    "for a signature write provider:",
		`on: {webhook: {verify: {type: hmac, header: X-Sig}}}`:              "write signature: {from: {header: X-Signature}",
	} {
		if !strings.Contains(text, "steps:") && strings.HasPrefix(text, "on:") {
			text += "\nsteps: [{stop: x}]"
		}
		if _, mistakes := loadOne(t, text+"\n", ""); !strings.Contains(mistakes.Error(), hint) {
			t.Errorf("%s\ngives no %q but\n%v", text, hint, mistakes)
		}
	}
}
