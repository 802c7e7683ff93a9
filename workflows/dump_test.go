package workflows_test

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
)

// TestEveryKeyIsDecoded: the values of files that use every key, with the defaults of the keys
// that are left out, and the places that messages name.
func TestEveryKeyIsDecoded(t *testing.T) {
	p, mistakes := workflows.Load("testdata/whole", smallCatalog(t), func(string) bool { return true })
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	tests, mistakes := p.LoadTests()
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	text, err := os.ReadFile("testdata/preset.yaml")
	if err != nil {
		t.Fatal(err)
	}
	preset, err := workflows.ParsePreset("preset.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	d := &dumper{seen: map[uintptr]bool{}}
	for _, part := range []struct {
		name string
		of   any
	}{{"server", p.Server}, {"destinations", p.Destinations}, {"egress", p.Egress}, {"history", p.History}, {"files", p.FileBounds},
		{"secrets", p.SecretSources}, {"vars", p.Vars}, {"connections", p.Connections}, {"acme", p.Actions.Connector("acme")},
		{"free", p.Actions.Connector("free")}, {"triggers", p.Triggers}, {"workflows", p.Workflows}, {"tests", tests}, {"preset", preset}} {
		d.value(part.name, reflect.ValueOf(part.of), 0)
	}
	testgolden.Compare(t, "decoded.txt", d.out.String())
}

// dumper writes values with all their fields that are not zero, each on a line.
type dumper struct {
	out  strings.Builder
	seen map[uintptr]bool
}

// opaque are types of which only a text is written, or nothing: the file itself is no result of reading it.
var opaque = map[string]bool{"source": true, "Node": true, "Regexp": true, "Program": true, "Shape": true, "Schema": true}

func (d *dumper) line(name, text string, depth int) {
	fmt.Fprintf(&d.out, "%s%s%s\n", strings.Repeat(" ", depth), name, text)
}

func (d *dumper) value(name string, v reflect.Value, depth int) {
	if !v.IsValid() || v.IsZero() && v.Kind() != reflect.Interface {
		return
	}
	if opaque[v.Type().Name()] || v.Kind() == reflect.Pointer && opaque[v.Type().Elem().Name()] || v.Kind() == reflect.Func {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if d.seen[v.Pointer()] {
			d.line(name, " (above)", depth)
			return
		}
		d.seen[v.Pointer()] = true
		d.value(name, v.Elem(), depth)
	case reflect.Interface:
		if !v.IsNil() {
			d.value(name, v.Elem(), depth)
		}
	case reflect.Struct:
		d.fields(name, v, depth)
	case reflect.Map:
		d.line(name, "", depth)
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for _, k := range keys {
			d.value(fmt.Sprint(k), v.MapIndex(k), depth+1)
		}
	case reflect.Slice, reflect.Array:
		d.list(name, v, depth)
	case reflect.String:
		d.line(name, fmt.Sprintf(" %q", v.String()), depth)
	case reflect.Int64:
		text := fmt.Sprintf(" %d", v.Int())
		if v.Type() == reflect.TypeFor[time.Duration]() {
			text = " " + time.Duration(v.Int()).String()
		}
		d.line(name, text, depth)
	default:
		d.line(name, fmt.Sprintf(" %v", v), depth)
	}
}

func (d *dumper) list(name string, v reflect.Value, depth int) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return // the text of a file, or bytes of an address
	}
	d.line(name, "", depth)
	for i := range v.Len() {
		before := d.out.Len()
		if d.value("-", v.Index(i), depth+1); d.out.Len() == before {
			d.line("-", "", depth+1)
		}
	}
}

func (d *dumper) fields(name string, v reflect.Value, depth int) {
	switch v.Type() {
	case reflect.TypeFor[workflows.Pos]():
		d.line(name, fmt.Sprintf(" at %d:%d+%d", v.Field(0).Int(), v.Field(1).Int(), v.Field(2).Int()), depth)
		return
	case reflect.TypeFor[workflows.Expr]():
		e := v.FieldByName("Expr")
		d.line(name, fmt.Sprintf(" ${{ %s }} from %d", e.FieldByName("Text"), v.FieldByName("place").FieldByName("at").Int()), depth)
		return
	case reflect.TypeFor[workflows.ActionSpec]():
		if v.FieldByName("Connector").IsNil() { // built in
			d.line(name, fmt.Sprintf(" %s", v.FieldByName("Name")), depth)
			return
		}
	case reflect.TypeFor[time.Time](), reflect.TypeFor[time.Location]():
		return
	}
	if strings.HasPrefix(v.Type().PkgPath(), "net/netip") {
		d.line(name, fmt.Sprintf(" %v", v), depth)
		return
	}
	d.line(name, "", depth)
	for i := range v.NumField() {
		d.value(v.Type().Field(i).Name, v.Field(i), depth+1)
	}
}
