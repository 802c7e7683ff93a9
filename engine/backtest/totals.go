package backtest

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"time"
)

// totals are sums over all events: calls by host and day, and simultaneous runs.
type totals struct {
	calls map[[2]string]*HostDay
	open  map[string]*[2]overlap
}

func (t *totals) init() {
	t.calls, t.open = map[[2]string]*HostDay{}, map[string]*[2]overlap{}
}

// add counts the runs of an item on both sides.
func (t *totals) add(it *item) {
	if it.elsewhere {
		return
	}
	for side, s := range []*simulation{it.before, it.after} {
		if s == nil {
			continue
		}
		for _, c := range s.calls {
			if c.host == "" {
				continue
			}
			k := [2]string{c.host, c.began.UTC().Format(time.DateOnly)}
			if t.calls[k] == nil {
				t.calls[k] = &HostDay{Host: k[0], Day: k[1]}
			}
			if side == 0 {
				t.calls[k].Before++
			} else {
				t.calls[k].After++
			}
		}
		if t.open[it.workflow] == nil {
			t.open[it.workflow] = &[2]overlap{}
		}
		t.open[it.workflow][side].add(s.st.StartedAt, s.ended)
	}
}

func (t *totals) hosts() []HostDay {
	out := []HostDay{}
	for _, x := range t.calls {
		out = append(out, *x)
	}
	slices.SortFunc(out, func(a, b HostDay) int { return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Day, b.Day)) })
	return out
}

func (t *totals) concurrency() []Concurrency {
	out := []Concurrency{}
	for _, w := range slices.Sorted(maps.Keys(t.open)) {
		out = append(out, Concurrency{Workflow: w, Before: t.open[w][0].most, After: t.open[w][1].most})
	}
	return out
}

// overlap determines the maximum number of overlapping intervals, added in order of their starts.
type overlap struct {
	ends times
	most int
}

func (o *overlap) add(from, to time.Time) {
	for len(o.ends) > 0 && !o.ends[0].After(from) {
		heap.Pop(&o.ends)
	}
	heap.Push(&o.ends, to)
	o.most = max(o.most, len(o.ends))
}

// times is a heap of times, the earliest first.
type times []time.Time

func (t times) Len() int           { return len(t) }
func (t times) Less(i, j int) bool { return t[i].Before(t[j]) }
func (t times) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *times) Push(x any) { *t = append(*t, x.(time.Time)) }

// Pop implements heap.Interface.
func (t *times) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}
