package triggers

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
)

//go:embed providers/*.yaml
var providerFiles embed.FS

// Library is the set of built-in provider presets. A file is read when its name is first requested.
// It is safe for concurrent use.
type Library struct {
	mu      sync.Mutex
	names   []string
	aliases map[string]string
	read    map[string]*workflows.Preset
}

// Presets lists the embedded provider files.
func Presets() (*Library, error) {
	files, err := fs.Glob(providerFiles, "providers/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing providers: %w", err)
	}
	l := &Library{aliases: map[string]string{}, read: map[string]*workflows.Preset{}}
	for _, f := range files {
		text, err := providerFiles.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("reading provider %s: %w", f, err)
		}
		name := strings.TrimSuffix(path.Base(f), ".yaml")
		l.names = append(l.names, name)
		// Only this line of each file is read here; a test compares it with the files.
		if _, rest, found := bytes.Cut(text, []byte("\naliases: [")); found {
			list, _, _ := bytes.Cut(rest, []byte("]"))
			for _, a := range strings.Split(string(list), ",") {
				l.aliases[strings.TrimSpace(a)] = name
			}
		}
	}
	sort.Strings(l.names)
	return l, nil
}

// Names implements workflows.Presets.
func (l *Library) Names() []string { return slices.Clone(l.names) }

// Get implements workflows.Presets. An unreadable file is treated as missing; a test reads all of
// them.
func (l *Library) Get(name string) *workflows.Preset {
	p, err := l.Read(name)
	if err != nil {
		return nil
	}
	return p
}

// Read returns a preset by name or alias, nil if there is none, or the error of its file.
func (l *Library) Read(name string) (*workflows.Preset, error) {
	if n, ok := l.aliases[name]; ok {
		name = n
	}
	if !slices.Contains(l.names, name) {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.read[name]; p != nil {
		return p, nil
	}
	file := "providers/" + name + ".yaml"
	text, err := providerFiles.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading provider %s: %w", name, err)
	}
	p, err := workflows.ParsePreset(file, text)
	if err != nil {
		return nil, err
	}
	if p.Name != name {
		return nil, fmt.Errorf("provider file %s names itself %q", file, p.Name)
	}
	for _, v := range p.Verify {
		if _, err := signature.Compile(v.WithParams(nil)); err != nil {
			return nil, fmt.Errorf("provider %s, variant %s: %w", name, v.Variant, err)
		}
	}
	l.read[name] = p
	return p, nil
}

func sortedNames[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
