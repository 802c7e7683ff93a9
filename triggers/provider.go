package triggers

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
)

//go:embed providers/*.yaml
var providerFiles embed.FS

// Library is the provider presets that are built in. A file is read when its
// name is first asked for. It is safe for concurrent use.
type Library struct {
	mu      sync.Mutex
	names   []string
	aliases map[string]string
	read    map[string]*workflows.Preset
}

// aliasLine is the one line of a provider file that is looked at for all of
// them; a test holds it to what the files say.
var aliasLine = regexp.MustCompile(`(?m)^aliases: \[(.*)\]$`)

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
		if m := aliasLine.FindSubmatch(text); m != nil {
			for _, a := range strings.Split(string(m[1]), ",") {
				l.aliases[strings.TrimSpace(a)] = name
			}
		}
	}
	sort.Strings(l.names)
	return l, nil
}

// Names implements workflows.Presets.
func (l *Library) Names() []string { return slices.Clone(l.names) }

// Get implements workflows.Presets. A file that cannot be read is no preset; a
// test reads them all.
func (l *Library) Get(name string) *workflows.Preset {
	p, err := l.Read(name)
	if err != nil {
		return nil
	}
	return p
}

// Read gives a preset by name or alias, nil when there is none, or says what is
// wrong with its file.
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
		if _, err := signature.Compile(scheme(v, map[string]string{})); err != nil {
			return nil, fmt.Errorf("provider %s, variant %s: %w", name, v.Variant, err)
		}
	}
	l.read[name] = p
	return p, nil
}

// scheme turns the written form of a signature into the one that is run.
// Parameters may stand in the names of headers, as {param:header}.
func scheme(v *workflows.Verify, params map[string]string) signature.Scheme {
	place := func(f workflows.From) signature.Place { return placeOf(f, params) }
	p := v.Signature.Parse
	s := signature.Scheme{Variant: v.Variant, Algorithm: v.Algorithm, KeyEncoding: v.KeyEncoding, From: place(v.Signature.From),
		Prefix:         v.Signature.Prefix,
		PrefixOptional: v.Signature.PrefixOptional, Encodings: v.Signature.Encodings, Each: v.Each, Body: v.Body,
		Parse: signature.Parse{Format: p.Format, Sample: p.Sample, Separator: p.Separator, SignatureKeys: p.SignatureKeys,
			TimestampKey: p.TimestampKey, Versions: p.AcceptVersions,
			Groups: p.Groups, Select: p.Select, KeyID: p.KeyID}}
	if len(v.SignedContent) > 0 {
		s.Content, s.Also = v.SignedContent[0], v.SignedContent[1:]
	}
	if t := v.Timestamp; t != nil {
		s.Timestamp = &signature.Timestamp{From: place(t.From), Unit: t.Unit, Tolerance: t.Tolerance}
	}
	eachPlace(&v.Require, func(f workflows.From, want []string) {
		s.Require = append(s.Require, signature.Requirement{Place: place(f), Want: want})
	})
	eachPlace(&v.RequireIfSet, func(f workflows.From, want []string) {
		s.Require = append(s.Require, signature.Requirement{Place: place(f), Want: want, IfSet: true})
	})
	if k := v.Key; k != nil {
		s.Key = &signature.KeySource{Method: k.Method, URL: k.URL, Body: jsonBraces(k.Body), KID: k.KID, Headers: k.Headers, Hosts: k.Hosts,
			Suffix: k.Suffix, Format: k.Format, At: k.At,
			Chain: k.Chain, Root: k.Root, Purposes: k.Purposes, Cache: k.Cache}
		if t := k.Token; t != nil {
			s.Key.Token = &signature.TokenSource{URL: t.URL, ID: t.ID, Secret: t.Secret, Scope: t.Scope}
		}
	}
	s.JWT = tokenScheme(v.JWT)
	return s
}

func tokenScheme(j *workflows.JWT) *signature.JWT {
	if j == nil {
		return nil
	}
	out := &signature.JWT{Algorithms: j.Algorithms, Present: j.Present, Leeway: j.Leeway, MaxAge: j.MaxAge, Detached: j.Detached}
	for _, name := range sortedNames(j.Claims) {
		out.Claims = append(out.Claims, signature.Claim{Name: name, Either: j.Either[name], Want: j.Claims[name]})
	}
	for _, name := range sortedNames(j.OptionalClaims) {
		out.Claims = append(out.Claims, signature.Claim{Name: name, Either: j.Either[name], Want: j.OptionalClaims[name], Optional: true})
	}
	for _, name := range sortedNames(j.Hashes) {
		h := j.Hashes[name]
		out.Hashes = append(out.Hashes, signature.ClaimHash{Name: name, Of: h.Of, Encoding: h.Encoding, EmptyAbsent: h.EmptyAbsent})
	}
	return out
}

func sortedNames[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// eachPlace visits the places of a written map, sorted.
func eachPlace(p *workflows.Places, visit func(f workflows.From, values []string)) {
	for _, kind := range []struct {
		m    map[string][]string
		from func(name string) workflows.From
	}{
		{p.Header, func(n string) workflows.From { return workflows.From{Header: n} }},
		{p.Query, func(n string) workflows.From { return workflows.From{Query: n} }},
		{p.Form, func(n string) workflows.From { return workflows.From{Form: n} }},
		{p.JSON, func(n string) workflows.From { return workflows.From{JSON: n} }},
		{p.XML, func(n string) workflows.From { return workflows.From{XML: n} }},
	} {
		for _, name := range sortedNames(kind.m) {
			visit(kind.from(name), kind.m[name])
		}
	}
}

func placeOf(f workflows.From, params map[string]string) signature.Place {
	return signature.Place{Header: named(f.Header, params), Headers: f.Headers, Query: named(f.Query, params), Form: f.Form, JSON: f.JSON,
		XML: f.XML, Body: f.Body, URL: f.URL, Field: f.SignatureField}
}

// named fills {param:x} in the name of a header or query parameter.
func named(text string, params map[string]string) string {
	for {
		before, rest, found := strings.Cut(text, "{param:")
		name, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return text
		}
		text = before + params[name] + after
	}
}
