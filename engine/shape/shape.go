// Package shape learns the structure of a trigger's events: paths, types, how often each is
// present, and the values of fields with few different ones. It takes decoded data, and its size is
// limited. It must not know stores, workflows or triggers.
package shape

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Limits of one shape.
const (
	maxNodes  = 2000
	maxFields = 200
	maxDepth  = 16
	// maxValues is the maximum number of different values of an enumerated field; maxValueText is
	// the maximum length of such a value in bytes.
	maxValues    = 12
	maxValueText = 40
	// repeats is the minimum average number of occurrences of a value for the values to be shown: a
	// field whose values hardly repeat identifies people or things.
	repeats = 4
)

// Shape describes the events of one trigger and type.
type Shape struct {
	Trigger string `json:"trigger"`
	Type    string `json:"type"`
	// Version is the version of the provider's API that the events state; empty for none.
	Version string `json:"api_version,omitempty"`
	// Events is the number of events added.
	Events int       `json:"events"`
	First  time.Time `json:"first_seen"`
	Last   time.Time `json:"last_seen"`
	Data   *Node     `json:"data"`
	nodes  int
}

// Node describes one position in the data.
type Node struct {
	// Seen is how often it had a value, null included.
	Seen int `json:"seen"`
	// Types counts null, boolean, integer, number, string, object and array.
	Types map[string]int `json:"types"`
	// Fields are the fields of objects; Items describes all elements of arrays.
	Fields map[string]*Node `json:"fields,omitempty"`
	Items  *Node            `json:"items,omitempty"`
	// More reports whether further fields were not kept because there are too many.
	More bool `json:"more,omitempty"`
	// Values counts texts; nil if there are too many.
	Values map[string]int `json:"values,omitempty"`
	many   bool
	// dates, mails and links count texts of these forms
	dates, mails, links int
}

// New returns the empty shape of a trigger, a type of event and a version of the provider's API.
func New(trigger, eventType, version string) *Shape {
	return &Shape{Trigger: trigger, Type: eventType, Version: version, Data: newNode()}
}

func newNode() *Node { return &Node{Types: map[string]int{}} }

// Add adds the data of an event that was received at a time.
func (s *Shape) Add(data any, at time.Time) {
	s.Events++
	if s.First.IsZero() || at.Before(s.First) {
		s.First = at
	}
	if at.After(s.Last) {
		s.Last = at
	}
	s.add(s.Data, data, 0)
}

func (s *Shape) add(n *Node, v any, depth int) {
	n.Seen++
	kind := kindOf(v)
	n.Types[kind]++
	if depth >= maxDepth {
		return
	}
	switch x := v.(type) {
	case string:
		n.text(x)
	case map[string]any:
		if n.Fields == nil {
			n.Fields = map[string]*Node{}
		}
		for _, k := range slices.Sorted(maps.Keys(x)) {
			f := n.Fields[k]
			if f == nil {
				if len(n.Fields) >= maxFields || s.nodes >= maxNodes {
					n.More = true
					continue
				}
				f = newNode()
				n.Fields[k] = f
				s.nodes++
			}
			s.add(f, x[k], depth+1)
		}
	case []any:
		if n.Items == nil && len(x) > 0 {
			n.Items = newNode()
			s.nodes++
		}
		for _, e := range x {
			s.add(n.Items, e, depth+1)
		}
	}
}

// masked replaces values that history does not store.
const masked = "***"

func (n *Node) text(x string) {
	switch {
	case looksLikeTime(x):
		n.dates++
	case strings.Count(x, "@") == 1 && !strings.ContainsAny(x, " \n") && strings.Contains(x, "."):
		n.mails++
	case strings.HasPrefix(x, "https://") || strings.HasPrefix(x, "http://"):
		n.links++
	}
	if n.many {
		return
	}
	if len(x) > maxValueText || strings.Contains(x, masked) {
		n.many, n.Values = true, nil
		return
	}
	if n.Values == nil {
		n.Values = map[string]int{}
	}
	if n.Values[x]++; len(n.Values) > maxValues {
		n.many, n.Values = true, nil
	}
}

func looksLikeTime(x string) bool {
	if len(x) < len("2006-01-02") || x[4] != '-' || x[7] != '-' {
		return false
	}
	_, err := time.Parse(time.DateOnly, x[:10])
	return err == nil
}

func kindOf(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case float64:
		if x == math.Trunc(x) {
			return "integer"
		}
		return "number"
	case json.Number:
		if strings.ContainsAny(x.String(), ".eE") {
			return "number"
		}
		return "integer"
	case int, int64:
		return "integer"
	}
	return "number" // digits that exceed the machine types
}

// Enum returns the values of a field with few different ones, sorted; nil if there are many, if
// they hardly repeat, or if they were masked.
func (n *Node) Enum() []string {
	seen := 0
	for _, c := range n.Values {
		seen += c
	}
	if n.many || len(n.Values) == 0 || seen < repeats*len(n.Values) || n.dates+n.mails+n.links > 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(n.Values))
}

// TypeNames returns the types of a position, most frequent first; it omits integer if number
// occurs.
func (n *Node) TypeNames() []string {
	names := slices.Sorted(maps.Keys(n.Types))
	slices.SortStableFunc(names, func(a, b string) int { return n.Types[b] - n.Types[a] })
	if n.Types["number"] > 0 {
		names = slices.DeleteFunc(names, func(s string) bool { return s == "integer" })
	}
	return names
}

// Row is a line of the list of a shape's positions.
type Row struct {
	// Path has the form of an expression, such as event.data.lines[].sku.
	Path  string   `json:"path"`
	Types []string `json:"types"`
	// Present is how often the enclosing object had the field, out of Of.
	Present int      `json:"present"`
	Of      int      `json:"of"`
	Nulls   int      `json:"nulls"`
	Values  []string `json:"values,omitempty"`
}

// Rows lists the positions, each before those inside it.
func (s *Shape) Rows() []Row {
	var out []Row
	var walk func(path string, n *Node, of int)
	walk = func(path string, n *Node, of int) {
		out = append(out, Row{Path: path, Types: n.TypeNames(), Present: n.Seen, Of: of, Nulls: n.Types["null"], Values: n.Enum()})
		for _, k := range slices.Sorted(maps.Keys(n.Fields)) {
			walk(path+field(k), n.Fields[k], n.Types["object"])
		}
		if n.Items != nil {
			walk(path+"[]", n.Items, n.Items.Seen)
		}
	}
	walk("event.data", s.Data, s.Events)
	return out
}

// field formats a key as in an expression.
func field(k string) string {
	for i, r := range k {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			b, err := json.Marshal(k)
			if err != nil {
				return "[?]"
			}
			return "[" + string(b) + "]"
		}
	}
	if k == "" {
		return `[""]`
	}
	return "." + k
}
