package console

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file shows the attempts of a run: as a waterfall, in which waiting is hatched and
// work is solid, and as a list. The items of a long loop share a row.

const (
	// loopFrom is the number of items from which a loop is one row.
	loopFrom = 20
	// rowsMost is the maximum number of rows of a waterfall, itemsMost the number of a loop's
	// attempts that are listed by default.
	rowsMost  = 200
	itemsMost = 50
)

// waterfallLane is a row: an attempt, the items of a loop, or a group of steps.
type waterfallLane struct {
	name  string
	at    []int // its attempts, by their place in the run
	begin time.Time
	end   time.Time
	// group reports whether it is a step that contains others.
	group bool
}

// indexed removes the indexes from a path: the items of a loop share the result.
func indexed(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if i > 0 && strings.Trim(p, "0123456789") == "" {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// endOf returns when an attempt ended, or now.
func endOf(s engine.StepItem, now time.Time) time.Time {
	if s.FinishedAt != nil {
		return *s.FinishedAt
	}
	return now
}

// lanes arranges the attempts of a run in rows, by start time.
func lanes(steps []engine.StepItem, now time.Time) []waterfallLane {
	paths := map[string]map[string]bool{}
	shape := func(s engine.StepItem) string { return indexed(s.Path) + " " + s.Action }
	for _, s := range steps {
		if paths[shape(s)] == nil {
			paths[shape(s)] = map[string]bool{}
		}
		paths[shape(s)][s.Path] = true
	}
	var out []waterfallLane
	loops := map[string]int{}
	inner := map[string][]int{} // attempts below a step that contains others
	for i, s := range steps {
		for path := s.Path; ; {
			cut := strings.LastIndexByte(path, '/')
			if cut < 0 {
				break
			}
			path = path[:cut]
			inner[path] = append(inner[path], i)
		}
	}
	for i, s := range steps {
		if key := shape(s); len(paths[key]) >= loopFrom {
			n, ok := loops[key]
			if !ok {
				n = len(out)
				loops[key] = n
				out = append(out, waterfallLane{name: indexed(s.Path), begin: s.StartedAt, end: endOf(s, now)})
			}
			l := &out[n]
			l.at = append(l.at, i)
			l.begin, l.end = earlier(l.begin, s.StartedAt), later(l.end, endOf(s, now))
			continue
		}
		l := waterfallLane{name: s.Path, at: []int{i}, begin: s.StartedAt, end: endOf(s, now)}
		for _, k := range inner[s.Path] {
			l.group = true
			l.begin, l.end = earlier(l.begin, steps[k].StartedAt), later(l.end, endOf(steps[k], now))
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b waterfallLane) int {
		if c := a.begin.Compare(b.begin); c != 0 {
			return c
		}
		return cmp.Compare(strings.Count(a.name, "/"), strings.Count(b.name, "/"))
	})
	return out
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// waterfall is the drawing state.
type waterfall struct {
	svg
	begin time.Time
	span  float64
	y     int
}

const (
	fallWidth, fallLeft, fallRow = 900, 230, 24
	fallRoom                     = fallWidth - fallLeft - 180
)

// x returns the horizontal position of a time.
func (p *waterfall) x(t time.Time) float64 {
	return fallLeft + math.Min(1, math.Max(0, float64(t.Sub(p.begin))/p.span))*fallRoom
}

// bar draws a time interval.
func (p *waterfall) bar(class string, from, to time.Time, thin int) {
	if to.Before(from) {
		to = from
	}
	p.put(`<rect class="bar %s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"/>`, class, p.x(from), p.y+5+thin,
		math.Max(p.x(to)-p.x(from), 2), fallRow-10-2*thin)
}

// timeline draws the attempts of a run.
func timeline(d *engine.RunDetail) template.HTML {
	now := time.Now()
	rows := lanes(d.Steps, now)
	end := d.CreatedAt.Add(time.Millisecond)
	for _, l := range rows {
		end = later(end, l.end)
	}
	if !engine.RunStatus(d.Status).Ended() {
		end = later(end, now)
	}
	queued := d.StartedAt != nil && d.StartedAt.Sub(d.CreatedAt) > 5*time.Millisecond || d.StartedAt == nil &&
		d.Status == string(engine.Queued)
	if len(rows) == 0 && !queued {
		return ""
	}
	left := max(0, len(rows)-rowsMost)
	rows = firstN(rows, rowsMost)
	p := &waterfall{begin: d.CreatedAt, span: float64(end.Sub(d.CreatedAt))}
	n := len(rows)
	for _, more := range []bool{queued, left > 0} {
		if more {
			n++
		}
	}
	height := fallRow*n + 26
	words := fmt.Sprintf("%d attempts in %s: %s running, %s waiting", len(d.Steps), shortTime(end.Sub(d.CreatedAt)), millis(d.WorkedMS),
		millis(d.WaitedMS))
	p.put(`<svg class="waterfall" viewBox="0 0 %d %d" role="group" aria-label="%s"><defs>`+
		`<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">`+
		`<rect class="h-back" width="6" height="6"/><rect class="h-line" width="2" height="6"/></pattern></defs>`, fallWidth, height, words)
	for i := range 5 {
		x := fallLeft + float64(i)/4*fallRoom
		p.put(`<line class="grid" x1="%.1f" x2="%.1f" y1="0" y2="%d"/><text class="axis" x="%.1f" y="%d">%s</text>`, x, x, height-20, x,
			height-6, shortTime(time.Duration(float64(i)/4*p.span)))
	}
	if queued {
		until := now
		if d.StartedAt != nil {
			until = *d.StartedAt
		}
		p.put(`<text class="name" x="4" y="%d">in the queue</text>`, p.y+16)
		p.bar("b-wait", d.CreatedAt, until, 0)
		p.label(until, "waited "+shortTime(until.Sub(d.CreatedAt)))
	}
	for _, l := range rows {
		p.lane(d.Steps, l, now)
	}
	if left > 0 {
		p.put(`<text class="name" x="4" y="%d">%s</text>`, p.y+16,
			fmt.Sprintf("%d more rows are not drawn; all attempts are in the list below", left))
	}
	p.put(`</svg>`)
	return template.HTML(p.String()) // put escaped every text in it
}

// label writes text beside a bar and advances to the next row.
func (p *waterfall) label(end time.Time, text string) {
	p.put(`<text class="axis" x="%.1f" y="%d">%s</text>`, p.x(end)+5, p.y+16, text)
	p.y += fallRow
}

// lane draws one row.
func (p *waterfall) lane(steps []engine.StepItem, l waterfallLane, now time.Time) {
	if len(l.at) > 1 {
		p.loop(steps, l, now)
		return
	}
	i := l.at[0]
	s := steps[i]
	name, end := s.Path, endOf(s, now)
	if s.Attempt > 1 {
		name += fmt.Sprintf(" · %d", s.Attempt)
	}
	title := fmt.Sprintf("%s, %s, attempt %d: %s, %s running", s.Path, s.Action, s.Attempt, s.Status, millis(s.WorkedMS))
	text := millis(s.WorkedMS)
	if s.WaitedMS > 0 {
		title += ", waited " + millis(s.WaitedMS)
		if s.Destination != "" {
			title += " for " + s.Destination
		}
		text += ", waited " + millis(s.WaitedMS)
		if s.WorkedMS == 0 {
			text = "waited " + millis(s.WaitedMS)
		}
	}
	p.put(`<a href="#s%d"><title>%s</title><rect class="rowhit" x="0" y="%d" width="%d" height="%d"/>`+
		`<text class="name" x="4" y="%d">%s</text>`, i, title, p.y, fallWidth, fallRow, p.y+16, clip(name, 34))
	switch worked := s.StartedAt.Add(time.Duration(s.WaitedMS) * time.Millisecond); {
	case l.group:
		p.bar("b-group b-"+s.Status, l.begin, l.end, 4)
		text = "in all " + shortTime(l.end.Sub(l.begin))
		end = l.end
	default:
		if s.Attempt > 1 {
			p.pause(steps[:i], s)
		}
		if s.WaitedMS > 0 {
			p.bar("b-wait", s.StartedAt, worked, 0)
		}
		if s.WaitedMS == 0 || s.WorkedMS > 0 {
			p.bar("b-"+s.Status, worked, end, 0)
		}
	}
	p.label(end, text)
	p.put(`</a>`)
}

// pause draws the time between an attempt and the previous one.
func (p *waterfall) pause(before []engine.StepItem, s engine.StepItem) {
	for i := len(before) - 1; i >= 0; i-- {
		if b := before[i]; b.Path == s.Path && b.FinishedAt != nil {
			p.bar("b-wait", *b.FinishedAt, s.StartedAt, 5)
			return
		}
	}
}

// loop draws the items of a loop as a strip of cells; failed ones have their own color.
func (p *waterfall) loop(steps []engine.StepItem, l waterfallLane, now time.Time) {
	g := summed(steps, l.at, l.name)
	p.put(`<a href="#s%d"><title>%s</title><rect class="rowhit" x="0" y="%d" width="%d" height="%d"/>`+
		`<text class="name" x="4" y="%d">%s</text>`,
		g.First, g.Words(), p.y, fallWidth, fallRow, p.y+16, clip(fmt.Sprintf("%s × %d", l.name, len(l.at)), 34))
	const cells = 100
	from, wide := p.x(l.begin), math.Max(p.x(l.end)-p.x(l.begin), 40)
	n := min(cells, len(l.at))
	for c := range n {
		status := ""
		for _, i := range l.at[c*len(l.at)/n : (c+1)*len(l.at)/n] {
			status = worse(status, steps[i].Status)
		}
		p.put(`<rect class="bar %s" x="%.1f" y="%d" width="%.2f" height="%d"/>`, "b-"+status, from+float64(c)*wide/float64(n), p.y+5,
			wide/float64(n)*0.9, fallRow-10)
	}
	text := fmt.Sprintf("p50 %s, p95 %s", seconds(g.Worked.P50), seconds(g.Worked.P95))
	if g.Failed > 0 {
		text = fmt.Sprintf("%d failed, ", g.Failed) + text
	}
	p.label(later(l.end, l.begin), text)
	p.put(`</a>`)
}

// listed is an attempt with its index in the run.
type listed struct {
	Index int
	engine.StepItem
	// Open reports whether it is expanded: it ended the run.
	Open bool
	// Cut shortens its values.
	Cut *cutter
}

// attempts are the attempts of one step, or of the items of a loop.
type attempts struct {
	Name string
	// Loop reports whether they are combined.
	Loop                 bool
	Items                []listed
	Count, Failed, First int
	// Left is the number that are not listed.
	Left           int
	Worked, Waited *engine.Delays
}

// Words summarizes a loop.
func (a attempts) Words() string {
	s := fmt.Sprintf("%d attempts, %d failed, running p50 %s, p95 %s", a.Count, a.Failed, seconds(a.Worked.P50), seconds(a.Worked.P95))
	if a.Waited.Max > 0 {
		s += fmt.Sprintf("; waited p50 %s, p95 %s", seconds(a.Waited.P50), seconds(a.Waited.P95))
	}
	return s
}

func summed(steps []engine.StepItem, at []int, name string) attempts {
	a := attempts{Name: name, Count: len(at), First: at[0]}
	var worked, waited []time.Duration
	for _, i := range at {
		s := steps[i]
		if s.Status == "failed" || s.Status == "unknown" {
			if a.Failed++; a.Failed == 1 {
				a.First = i
			}
		}
		worked, waited = append(worked, time.Duration(s.WorkedMS)*time.Millisecond),
			append(waited, time.Duration(s.WaitedMS)*time.Millisecond)
	}
	a.Worked, a.Waited = engine.DelaysOf(worked), engine.DelaysOf(waited)
	return a
}

// attemptList lists the attempts of a run in order; a long loop is one entry, with failures first.
// all omits nothing.
func attemptList(d *engine.RunDetail, all bool, cut *cutter) []attempts {
	last := map[string]int{}
	for i, s := range d.Steps {
		last[s.Path] = i
	}
	item := func(i int) listed {
		s := d.Steps[i]
		ended := engine.RunStatus(d.Status) == engine.Failed || engine.RunStatus(d.Status) == engine.TimedOut
		return listed{Index: i, StepItem: s, Cut: cut,
			Open: ended && s.Path == d.ErrorStep && last[s.Path] == i || cut.inAttempt(i)}
	}
	var out []attempts
	rows := lanes(d.Steps, time.Now())
	slices.SortStableFunc(rows, func(a, b waterfallLane) int { return a.at[0] - b.at[0] })
	for _, l := range rows {
		a := summed(d.Steps, l.at, l.name)
		a.Loop = len(l.at) > 1
		order := slices.Clone(l.at)
		if a.Loop {
			slices.SortStableFunc(order, func(x, y int) int { return severity[d.Steps[y].Status] - severity[d.Steps[x].Status] })
		}
		if n := len(order) - itemsMost; n > 0 && !all {
			a.Left, order = n, order[:itemsMost]
		}
		for _, i := range order {
			a.Items = append(a.Items, item(i))
		}
		out = append(out, a)
	}
	return out
}
