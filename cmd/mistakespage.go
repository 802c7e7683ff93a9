package cmd

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// mistakesPage is the page of the codes that validate reports.
func mistakesPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Codes of mistakes

%s
`+"`hookloom validate`"+` reports each mistake with its code in brackets. `+"`hookloom help CODE`"+` prints the section of a code.
Some codes are warnings; `+"`--strict`"+` treats them as errors.
`, generated)
	for _, c := range workflows.MistakeCodes() {
		b.WriteString("\n" + explained(c))
	}
	return b.String()
}

// explained is the section of one code.
func explained(c workflows.MistakeCode) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n", c.Code, c.Meaning)
	x, ok := c.Example()
	if !ok {
		return b.String()
	}
	b.WriteString("\nWrong:\n\n")
	writeFiles(&b, x.Wrong)
	fmt.Fprintf(&b, "```text\n%s\n```\n\nRight:\n\n", strings.TrimRight(x.Report, "\n"))
	writeFiles(&b, x.Fixed)
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func writeFiles(b *strings.Builder, files []workflows.ExampleFile) {
	for _, f := range files {
		fmt.Fprintf(b, "```yaml\n# %s\n%s\n```\n\n", f.Name, strings.TrimRight(f.Text, "\n"))
	}
}

// explainedMistake is the section of a code; empty if there is no such code.
func explainedMistake(code string) string {
	for _, c := range workflows.MistakeCodes() {
		if c.Code == code {
			return explained(c)
		}
	}
	return ""
}
