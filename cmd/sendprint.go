package cmd

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/triggers"
)

// The formats of send --print: a raw HTTP request, as hookloom verify reads it; a shell command;
// the body alone, for a fixture.
var printForms = []string{"http", "curl", "body"}

// allTypes is the value of --type for all types that the preset documents.
const allTypes = "all"

// sampleTypes returns the types of which send creates a delivery.
func sampleTypes(l *loaded, trigger, kind string) ([]string, error) {
	if kind != allTypes {
		return []string{kind}, nil
	}
	hook := l.project.Triggers[trigger].Webhook
	if hook == nil {
		return []string{""}, nil // Sample reports what is wrong
	}
	preset := l.project.Preset(hook)
	if preset == nil || len(preset.Events) == 0 {
		return nil, usageError("--type all: the types of trigger %s are not known: name one with --type", trigger)
	}
	return preset.Events, nil
}

// printSample prints a signed request instead of sending it. The secrets of the project are masked:
// a scheme with a token would disclose its secret.
func (a *app) printSample(l *loaded, s *triggers.SampleRequest, o *sendOptions, base string) error {
	if !slices.Contains(printForms, o.print) {
		return usageError("--print is one of %s, not %q", strings.Join(printForms, ", "), o.print)
	}
	mask := func(text string) string { return text }
	if !o.showSecrets {
		r := &redact.Redactor{}
		for _, name := range l.project.SecretNames() {
			if v, ok := l.secrets.Lookup(name); ok {
				r.Learn(v)
			}
		}
		mask = r.Text
	}
	text, err := requestText(s, o.print, strings.TrimRight(base, "/"))
	if err != nil {
		return err
	}
	shown := mask(text)
	if shown != text {
		a.warnf("note: secrets are shown as ***: --show-secrets prints the request as it is sent\n")
	}
	a.printf("%s", shown)
	return nil
}

func requestText(s *triggers.SampleRequest, form, base string) (string, error) {
	target := s.Path
	if len(s.Query) > 0 {
		target += "?" + s.Query.Encode()
	}
	var b strings.Builder
	switch form {
	case "body":
		return string(s.Body) + "\n", nil
	case "curl":
		if !utf8.Valid(s.Body) {
			return "", usageError("the body is not text, which a shell could not pass on: use --print http")
		}
		fmt.Fprintf(&b, "curl -X %s %s", s.Method, shellQuoted(base+target))
		for _, h := range headerLines(s.Header) {
			b.WriteString(" \\\n  -H " + shellQuoted(h))
		}
		b.WriteString(" \\\n  --data-raw " + shellQuoted(string(s.Body)) + "\n")
		return b.String(), nil
	}
	_, host, _ := strings.Cut(base, "://")
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", s.Method, target, host)
	for _, h := range headerLines(s.Header) {
		b.WriteString(h + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(s.Body), s.Body)
	return b.String(), nil
}

func headerLines(h http.Header) (out []string) {
	for _, k := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[k] {
			out = append(out, k+": "+v)
		}
	}
	return out
}

// shellQuoted quotes a word for a POSIX shell.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
