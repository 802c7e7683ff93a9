package triggers_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// shown formats a verdict as hookloom verify would.
func shown(v *triggers.Verdict) string {
	out := fmt.Sprintf("  %s %s", v.Result, v.Reason)
	if v.Diagnosis != "" {
		out += "\n    diagnosis: " + v.Diagnosis
	}
	if v.Secret != "" {
		out += " by " + v.Secret
	}
	if v.Response != nil {
		out += fmt.Sprintf("\n    answer %d %v %s", v.Response.Status, v.Response.Headers, v.Response.Body)
	}
	if v.Event != nil {
		out += fmt.Sprintf("\n    event %+v", *v.Event)
	}
	for _, e := range v.Events {
		out += fmt.Sprintf("\n    one of several %+v", e)
	}
	for _, n := range v.Notes {
		out += "\n    note: " + n
	}
	return out + "\n"
}

// shownRequest formats a sample. What is random is left out.
func shownRequest(s *triggers.SampleRequest, random bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s %s", s.Method, s.Path)
	if len(s.Query) > 0 && !random {
		fmt.Fprintf(&b, "?%s", s.Query.Encode())
	}
	for _, k := range slices.Sorted(maps.Keys(s.Header)) {
		if b.WriteString("\n    " + k); !random {
			b.WriteString(": " + strings.Join(s.Header[k], ", "))
		}
	}
	if !random {
		fmt.Fprintf(&b, "\n    %.120q, %d bytes, sum %.4x", s.Body, len(s.Body), sha256Of(s.Body))
	}
	if s.Note != "" {
		b.WriteString("\n    note: " + s.Note)
	}
	return b.String() + "\n"
}

// shapesOf name what makes the signature of a scheme, and its sample, different from those of others.
func shapesOf(p *workflows.Preset, v *workflows.Verify) (scheme, sample string) {
	kinds := ""
	for _, c := range v.SignedContent {
		for _, k := range []string{"{form_sorted", "{url_params", "{json:", "{form:", "{header:", "{query:", "{public_url", "{method"} {
			if strings.Contains(c, k) {
				kinds += k
			}
		}
	}
	clock := ""
	if v.Timestamp != nil {
		clock = fmt.Sprint(v.Timestamp.From.JSON != "", v.Timestamp.From.Header != "", v.Timestamp.From.Form != "")
	}
	s := p.Sample
	scheme = fmt.Sprint(v.Algorithm, kinds, clock, v.From.Header != "", v.From.JSON != "", v.From.Form != "", v.From.Query != "",
		v.Each != "",
		v.When != nil, v.SecretNth)
	sample = fmt.Sprint(s.ContentType, s.TypeHeader != "", s.TypeJSON != "", s.IDHeader != "", s.IDField != "", p.Split != nil,
		p.Batch != nil)
	return scheme, sample
}

// TestSamplesAndTheirVerdictsStayTheSame: what hookloom send makes for each kind of scheme of the presets, what the server says to
// it, and the event of it.
func TestSamplesAndTheirVerdictsStayTheSame(t *testing.T) {
	library := must(triggers.Presets())
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	seen := map[string]bool{}
	var out strings.Builder
	for _, name := range library.Names() {
		p := must(library.Read(name))
		for _, v := range p.Verify {
			scheme, sample := shapesOf(p, v)
			if seen[scheme] && seen[sample] || v.Key != nil && v.Key.Format == "x5c" {
				continue
			}
			seen[scheme], seen[sample] = true, true
			secret := secretFor(v, false)
			project, lookup := presetProject(t, p, v)
			for _, variant := range triggers.Variants {
				if variant == "duplicate" || variant == "wrong-secret" && strings.HasPrefix(v.Algorithm, "rsa") {
					continue // the valid one, and a key that takes long to make
				}
				fmt.Fprintf(&out, "%s %s %s\n", name, v.Variant, variant)
				order := triggers.SampleOrder{ID: "evt-1", Variant: variant, Now: now, Base: "https://hooks.example.com"}
				s, err := triggers.Sample(project, "hook", lookup, order)
				if err != nil {
					fmt.Fprintf(&out, "  %v\n", err)
					continue
				}
				random := variant == "wrong-secret" || v.Algorithm == "jwt" || strings.Contains(secret, "PRIVATE KEY")
				out.WriteString(shownRequest(s, random))
				verdict, ds, err := triggers.JudgeSample(t.Context(), project, "hook", &triggers.Deps{Secret: lookup}, order, now.Add(time.Second))
				if err != nil {
					t.Fatal(err)
				}
				out.WriteString(shown(verdict))
				for _, d := range ds {
					if variant == "valid" && !random {
						out.WriteString(triggers.Described(d))
					}
				}
			}
		}
	}
	testgolden.Compare(t, "samples.golden", out.String())
}
