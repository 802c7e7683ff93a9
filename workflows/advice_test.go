package workflows_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestLikelyMistakesAreReportedAtLoad guards that slips of other languages and tools are reported
// when a project is loaded, with what to write in their place.
func TestLikelyMistakesAreReportedAtLoad(t *testing.T) {
	say := func(text string) string { return `{uses: log, with: {message: "` + text + `"}}` }
	get := `{uses: http/get, with: {url: "https://api.example.com", %s}}`
	for step, want := range map[string]string{
		say(`${{ date(event.data.at).Format('YYYY-MM-DD') }}`):               `write "2006-01-02"`,
		say(`${{ now().Format('%d.%m.%Y') }}`):                               `write "02.01.2006"`,
		say(`${{ date(event.data.at, 'dd.MM.yyyy') }}`):                      `write "02.01.2006"`,
		say(`${{ event.data.total // 2 }}`):                                  "write int(a / b)",
		say(`${{ [1] + [2] }}`):                                              "write concat(a, b)",
		say(`${{ 7 => 7 }}`):                                                 "compare with >=",
		say(`Hi #{event.data.name}`):                                         "did you mean ${{ event.data.name }}?",
		say(`Hi {event.data.name}!`):                                         "did you mean ${{ event.data.name }}?",
		say(`Hi @{steps.a.output}`):                                          "did you mean ${{ steps.a.output }}?",
		"uses: log\n    with:\n      message: Order #{{ event.data.id }} of": `quotes: "Order #{{ event.data.id }} of"`,
		`{uses: log, with: {message: a: b}}`:                                 `put the value in quotes: "a: b"`,
		`{uses: log, with: {message: "x, y: z", level: b: c}}`:               `put the value in quotes: "b: c"`,
		fmt.Sprintf(get, `accept: 2xx`):                                      "write 200-299",
		fmt.Sprintf(get, `accept: [200, ok]`):                                "write 200, 404 or 200-299",
		fmt.Sprintf(get, `headers: {host: a.example.com}`):                   "cannot be overridden",
		`{uses: http/get, with: {url: "https://a.example"}, retry: {max: 1, when: error.code == 500}}`: "error.status",
		`{wait: {approval: "Pay?"}, on_timeout: continue}`:                                             "continue_on_error: true",
		`{foreach: "range(1, 3)", uses: log, with: {message: a}}`:                                      "write 1..10 for the numbers",
		`{foreach: event.data.rows, as: item, uses: log, with: {message: a}}`:                          "drop as: the name is item without it",
	} {
		_, mistakes := loadOne(t, webhookHead+"  - "+step+"\n", "")
		if got := fmt.Sprint(mistakes); len(mistakes) != 1 || !strings.Contains(got, want) {
			t.Errorf("%s: want %q\n%s", step, want, got)
		}
	}
	for _, step := range []string{
		say(`${{ date(event.data.at).Format('2006-01-02T15:04') + date(event.data.at, '15h04').Format('Mon') }}`),
		say(`${{ 'http://a' + event.data.x }}`),
		say(`{event} {5} #{x} @{all}`),
		fmt.Sprintf(get, `accept: [200, 404, 500-503, "201"], headers: {X-Host: a}`),
	} {
		if _, mistakes := loadOne(t, webhookHead+"  - "+step+"\n", ""); len(mistakes) > 0 {
			t.Errorf("%s\n%v", step, mistakes)
		}
	}
}

// TestFrequentSchedulesGiveAWarningInBothForms guards that @every is warned of like every.
func TestFrequentSchedulesGiveAWarningInBothForms(t *testing.T) {
	for cron, want := range map[string]int{"@every 2s": 1, "@every 1m": 0} {
		_, mistakes := loadOne(t, "on: {schedule: {cron: '"+cron+"'}}\nsteps: [{stop: x}]\n", "")
		if len(mistakes) != want {
			t.Errorf("%s: %v", cron, mistakes)
		}
	}
}
