package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"math"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// Pictures are SVG generated here: they need no script, can be printed, scale, and contain their
// figures as text. The style sheet colors them by class.

// svg builds one picture. All text is escaped.
type svg struct{ strings.Builder }

func (s *svg) put(format string, args ...any) {
	for i, a := range args {
		if t, ok := a.(string); ok {
			args[i] = html.EscapeString(t)
		}
	}
	fmt.Fprintf(s, format, args...)
}

// clip shortens a text to n letters.
func clip(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// series is one color of a chart.
type series struct {
	class, name string
	value       func(engine.Bucket) int
}

var (
	eventSeries = []series{{"c-events", "events", func(b engine.Bucket) int { return b.Events }},
		{"c-refused", "refused", func(b engine.Bucket) int { return b.Refused }}}
	runSeries = []series{{"c-good", "succeeded", engine.Bucket.Succeeded},
		{"c-bad", "failed", func(b engine.Bucket) int { return b.Failed }},
		{"c-mid", "open", func(b engine.Bucket) int { return b.Open }},
		{"c-dim", "cancelled", func(b engine.Bucket) int { return b.Cancelled }}}
)

// bars draws time intervals as stacked bars; each links to what it counts, on the page of a list.
func bars(title, page string, buckets []engine.Bucket, step time.Duration, list []series, zone *time.Location) template.HTML {
	const width, height, base, left = 640, 150, 124, 44
	most := 1
	totals := make([]int, len(list))
	for _, b := range buckets {
		sum := 0
		for i, s := range list {
			sum += s.value(b)
			totals[i] += s.value(b)
		}
		most = max(most, sum)
	}
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = fmt.Sprintf("%d %s", totals[i], s.name)
	}
	var p svg
	p.put(`<svg class="chart" viewBox="0 0 %d %d" role="group" aria-label="%s">`, width, height, title+": "+strings.Join(words, ", "))
	for _, part := range []float64{0, 0.5, 1} {
		y := base - part*(base-10)
		p.put(`<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="axis" x="%d" y="%.1f" text-anchor="end">%s</text>`,
			left, width, y, y, left-6, y+4, count(int(math.Round(part*float64(most)))))
	}
	slot := float64(width-left) / float64(max(1, len(buckets)))
	for i, b := range buckets {
		y, x := float64(base), float64(left)+float64(i)*slot
		said := []string{}
		for _, s := range list {
			n := s.value(b)
			h := float64(n) / float64(most) * (base - 10)
			if n > 0 {
				h = math.Max(h, 1)
				said = append(said, fmt.Sprintf("%d %s", n, s.name))
			}
			y -= h
			p.put(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, s.class, x+slot*0.1, y, slot*0.8, h)
		}
		p.put(`<a href="%s" tabindex="-1"><rect class="hover" x="%.1f" y="10" width="%.1f" height="%d"/><title>%s</title></a>`,
			page+"?since="+url.QueryEscape(b.At.UTC().Format(time.RFC3339))+
				"&until="+url.QueryEscape(b.At.Add(step).UTC().Format(time.RFC3339)),
			x, slot, base-10, b.At.In(zone).Format("Mon 15:04")+": "+cmp.Or(strings.Join(said, ", "), "nothing"))
		if i%max(1, len(buckets)/6) == 0 {
			p.put(`<text class="axis" x="%.1f" y="%d">%s</text>`, x, height-8, b.At.In(zone).Format(timeFormat(buckets)))
		}
	}
	p.put(`</svg>`)
	return template.HTML(p.String()) // put escaped every text in it
}

func timeFormat(b []engine.Bucket) string {
	if len(b) > 1 && b[len(b)-1].At.Sub(b[0].At) > 48*time.Hour {
		return "Jan 2"
	}
	return "15:04"
}

// count formats a number briefly.
func count(n int) string {
	switch {
	case n >= 10_000_000:
		return fmt.Sprintf("%dM", n/1_000_000)
	case n >= 10_000:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprint(n)
}

func shortTime(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// intervals draws the effect of other polling intervals, below the webhook.
func intervals(c engine.Comparison) template.HTML {
	if len(c.Intervals) == 0 {
		return ""
	}
	const width, row, left = 640, 26, 90
	most := 1e-9
	for _, i := range c.Intervals {
		most = math.Max(most, math.Max(i.P95, i.Mean))
	}
	if c.WebhookDelay != nil {
		most = math.Max(most, c.WebhookDelay.P95)
	}
	var p svg
	first := 0 // the row of the first interval
	if c.WebhookDelay != nil {
		first = 1
	}
	height := row*(len(c.Intervals)+first) + 6
	p.put(`<svg class="chart narrow" viewBox="0 0 %d %d" role="img" `+
		`aria-label="Expected delay by polling interval, compared with the webhook's">`, width, height)
	line := func(n int, name string, mean, p95 float64, class, note string) {
		// Delays range from seconds to hours, so the axis is logarithmic.
		scale := func(v float64) float64 {
			return math.Log10(1+9*v/most*10) / math.Log10(91) * (width - left - 190)
		}
		y := n * row
		p.put(`<text class="name" x="0" y="%d">%s</text><rect class="%s faint" x="%d" y="%d" width="%.1f" height="14"/>`+
			`<rect class="%s" x="%d" y="%d" width="%.1f" height="14"/><text class="axis" x="%.1f" y="%d">%s</text>`,
			y+17, name, class, left, y+6, math.Max(scale(p95), 1), class, left, y+6, math.Max(scale(mean), 1),
			left+scale(math.Max(p95, mean))+6, y+17, note)
	}
	if d := c.WebhookDelay; d != nil {
		line(0, "webhook", d.P50, d.P95, "c-good", fmt.Sprintf("p50 %s, p95 %s", seconds(d.P50), seconds(d.P95)))
	}
	for i, x := range c.Intervals {
		line(i+first, "every "+x.Interval, x.Mean, x.P95, "c-events",
			fmt.Sprintf("mean %s, %.0f requests per day", seconds(x.Mean), x.RequestsPerDay))
	}
	p.put(`</svg>`)
	return template.HTML(p.String()) // put escaped every text in it
}

func seconds(s float64) string { return shortTime(time.Duration(s * float64(time.Second))) }

// block is a part of a workflow's graph with its size.
type block struct {
	w, h float64
	draw func(p *svg, x, y float64)
}

const (
	nodeW, nodeH, gap = 210.0, 40.0, 22.0
)

// graph draws a workflow and, with steps, the path that a run took.
func graph(w *workflows.Workflow, steps []engine.StepItem) template.HTML {
	if w == nil {
		return ""
	}
	g := &grapher{steps: steps, drawn: steps != nil}
	list := []block{g.node("on", strings.Join(starts(w), ", "), "", "n-start")}
	if len(w.When) > 0 {
		list = append(list, g.node("when", fmt.Sprintf("%d condition(s)", len(w.When)), "", "n-start"))
	}
	if w.Gather != nil {
		list = append(list, g.node(w.Gather.Kind, strings.TrimPrefix(w.Gather.String(), w.Gather.Kind), "", "n-start"))
	}
	list = append(list, g.sequence(w.Steps, "")...)
	all := stack(list)
	if len(w.OnFailed) > 0 {
		all = beside([]block{all, framed("on failure", stack(g.sequence(w.OnFailed, "on_failure")))})
	}
	if len(w.Finally) > 0 {
		all = beside([]block{all, framed("finally", stack(g.sequence(w.Finally, plan.FinallyPath)))})
	}
	var p svg
	p.put(`<svg class="graph" viewBox="0 0 %.0f %.0f" width="%.0f" role="group" aria-label="%s">`, all.w+2, all.h+2, all.w+2,
		fmt.Sprintf("Graph of workflow %s with %d steps", w.ID, len(w.Steps)))
	all.draw(&p, 1, 1)
	p.put(`</svg>`)
	return template.HTML(p.String()) // put escaped every text in it
}

type grapher struct {
	steps []engine.StepItem
	drawn bool
}

// at returns what a run did at a node: the status of its last attempt, the index of that attempt,
// -1 if there is none, and the number of attempts. In a loop a node stands for all items: the worst
// of their last attempts.
func (g *grapher) at(path string) (status string, at, tries int) {
	at = -1
	last := map[string]int{}
	for i, s := range g.steps {
		if fits(path, s.Path) {
			last[s.Path] = i
			tries = max(tries, s.Attempt)
		}
	}
	for _, p := range sortedNames(last) {
		if s := g.steps[last[p]].Status; at < 0 || severity[s] > severity[status] {
			status, at = s, last[p]
		}
	}
	return status, at, tries
}

// fits reports whether an attempt's path belongs to a node; * in the node's path stands for a loop
// index.
func fits(node, path string) bool {
	for {
		n, nodeRest, more := strings.Cut(node, "/")
		p, pathRest, pathMore := strings.Cut(path, "/")
		if n != p && (n != "*" || strings.Trim(p, "0123456789") != "") {
			return false
		}
		if more != pathMore {
			return !more && nodeRest == "" && strings.Trim(pathRest, "0123456789") == "" // an item of the node itself
		}
		if !more {
			return true
		}
		node, path = nodeRest, pathRest
	}
}

var severity = map[string]int{"": 0, "skipped": 1, "succeeded": 2, "waiting": 3, "running": 4, "unknown": 5, "failed": 6}

func worse(a, b string) string {
	if severity[b] > severity[a] {
		return b
	}
	return a
}

// starts returns what starts a workflow.
func starts(w *workflows.Workflow) []string {
	var out []string
	for _, s := range w.Starts {
		out = append(out, cmp.Or(s.Trigger, s.Kind))
	}
	return out
}

func (g *grapher) node(name, what, path, class string) block {
	return block{nodeW, nodeH, func(p *svg, x, y float64) {
		title, what, status, first, tries := name, what, "", -1, 0
		if g.drawn && path != "" {
			status, first, tries = g.at(path)
			title += ": " + cmp.Or(status, "not reached")
			if tries > 1 {
				what = fmt.Sprintf("%d tries · ", tries) + what
				title += fmt.Sprintf(" after %d tries", tries)
			}
			class += " n-" + cmp.Or(status, "none")
		}
		open, shut := "", ""
		if first >= 0 {
			open, shut = fmt.Sprintf(`<a href="#s%d">`, first), "</a>"
		}
		p.WriteString(open)
		p.put(`<rect class="node %s" x="%.1f" y="%.1f" width="%.0f" height="%.0f" rx="6"><title>%s</title></rect>`+
			`<text class="name" x="%.1f" y="%.1f">%s</text><text class="axis" x="%.1f" y="%.1f">%s</text>`,
			class, x, y, nodeW, nodeH, title, x+10, y+17, clip(name, 28), x+10, y+32, clip(what, 32))
		p.WriteString(shut)
	}}
}

// sequence returns the blocks of a list of steps.
func (g *grapher) sequence(list []*workflows.Step, prefix string) []block {
	var out []block
	for _, s := range list {
		path := s.Key
		if prefix != "" {
			path = prefix + "/" + s.Key
		}
		out = append(out, g.step(s, path))
	}
	return out
}

func (g *grapher) step(s *workflows.Step, path string) block {
	name := cmp.Or(s.ID, s.Name, s.Uses, s.Body)
	what := cmp.Or(s.Uses, s.Body)
	switch {
	case s.Call != "":
		what = "call " + s.Call
	case s.Wait != nil:
		var list []string
		for _, one := range s.Wait.Choices() {
			list = append(list, cmp.Or(one.Event, "approval"))
		}
		what = "wait for " + strings.Join(list, " or ")
	}
	if s.If != nil {
		what += " · if " + s.If.Text
	}
	inner := path
	if s.ForEach != nil {
		what += " · for each"
		inner += "/*"
	}
	head := g.node(name, what, path, "")
	var parts []block
	switch {
	case len(s.Parallel) > 0:
		parts = append(parts, beside(g.sequence(s.Parallel, inner)))
	case len(s.Steps) > 0 && len(s.Else) > 0:
		parts = append(parts, beside([]block{framed("then", stack(g.sequence(s.Steps, inner))),
			framed("else", stack(g.sequence(s.Else, path+"/else")))}))
	case len(s.Steps) > 0:
		parts = append(parts, stack(g.sequence(s.Steps, inner)))
	case len(s.Cases) > 0:
		var cases []block
		for _, c := range s.Cases {
			cases = append(cases, framed(c.Value, stack(g.sequence(c.Steps, inner+"/"+strings.ReplaceAll(c.Value, "/", "%2F")))))
		}
		if len(s.Default) > 0 {
			cases = append(cases, framed("default", stack(g.sequence(s.Default, inner+"/default"))))
		}
		parts = append(parts, beside(cases))
	}
	if len(s.OnFailure) > 0 {
		parts = append(parts, framed("on failure", stack(g.sequence(s.OnFailure, path+"/on_failure"))))
	}
	if len(parts) == 0 {
		return head
	}
	return framed("", stack(append([]block{head}, parts...)))
}

// stack arranges blocks vertically, joined by lines.
func stack(list []block) block {
	var b block
	for _, x := range list {
		b.w = math.Max(b.w, x.w)
		b.h += x.h
	}
	b.h += gap * float64(max(0, len(list)-1))
	b.draw = func(p *svg, x, y float64) {
		for i, c := range list {
			if i > 0 {
				p.put(`<path class="edge" d="M%.1f %.1f v%.1f"/>`, x+b.w/2, y-gap, gap)
			}
			c.draw(p, x+(b.w-c.w)/2, y)
			y += c.h + gap
		}
	}
	return b
}

// beside arranges blocks horizontally.
func beside(list []block) block {
	var b block
	for _, x := range list {
		b.w += x.w
		b.h = math.Max(b.h, x.h)
	}
	b.w += 14 * float64(max(0, len(list)-1))
	b.draw = func(p *svg, x, y float64) {
		for _, c := range list {
			c.draw(p, x, y)
			x += c.w + 14
		}
	}
	return b
}

// framed draws a named border around a block.
func framed(name string, in block) block {
	top := 10.0
	if name != "" {
		top = 26
	}
	return block{in.w + 20, in.h + top + 10, func(p *svg, x, y float64) {
		p.put(`<rect class="frame" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="8"/><text class="axis" x="%.1f" y="%.1f">%s</text>`,
			x, y, in.w+20, in.h+top+10, x+10, y+17, clip(name, 26))
		in.draw(p, x+10, y+top)
	}}
}

// facts parses the conditions of a decision.
func facts(raw json.RawMessage) []engine.Condition {
	var out []engine.Condition
	if json.Unmarshal(raw, &out) != nil {
		return nil
	}
	return out
}
