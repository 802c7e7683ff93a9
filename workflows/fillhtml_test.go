package workflows_test

import (
	"testing"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"golang.org/x/tools/txtar"
)

// TestDataInHTMLIsEscaped checks that text inserted into the HTML of a mail is never markup.
func TestDataInHTMLIsEscaped(t *testing.T) {
	p, mistakes := workflows.Load(project(t, txtar.Parse([]byte("-- hookloom.yaml --\nconnections: {smtp: {host: smtp.example.com}}\n"+
		"-- workflows/w.yaml --\non: manual\ninputs: {name: {type: string}}\nsteps:\n  - uses: email/send\n"+
		"    with: {to: a@example.com, from: b@example.com, subject: s, html: \"<b>${{ inputs.name }}</b>\"}\n"))), catalog(t), nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	s := p.Workflows["w"].Steps[0]
	env := &expr.Env{Names: expr.Names{"inputs": map[string]any{"name": `<script>"&'`}}}
	got, err := s.With.Field("html").Render(env, s.Spec.Input("html").Fill)
	if err != nil || got != "<b>&lt;script&gt;&#34;&amp;&#39;</b>" {
		t.Errorf("%q %v", got, err)
	}
}
