package workflows

import (
	"iter"
	"maps"
	"slices"
)

// Loaded is what a project folder gives when a broken file keeps its last good
// version.
type Loaded struct {
	// Project is made of the files in force; nil when nothing can run.
	Project *Project
	// Mistakes are those of the files as they are now, whatever is in force.
	Mistakes Mistakes
	// Files are the texts in force.
	Files Files
	// Kept are files of which the last good text is in force; Left are files that have
	// none and take no part: they are broken, or break another.
	Kept, Left []string
	// SettingsBroken reports whether the server's own settings cannot be read: the file is
	// no YAML, or its server: part has a mistake.
	SettingsBroken bool
}

// Check looks for further mistakes in a project that has none of its own, such as
// secrets that do not fit their scheme.
type Check func(*Project) Mistakes

// LoadKeeping reads and checks the project in dir. A file with a mistake keeps the
// text that it has in good, the files in force before, and everything else is
// taken as it is. Where a mistake shows in a file that has not changed, because
// another one has (a trigger was renamed that a workflow listens to), the file that
// has changed keeps its last good text. isSet is as with Load, but a secret that is
// not set is an error here: nothing runs without it. A nil check checks nothing.
func LoadKeeping(dir string, catalog Catalog, isSet func(string) bool, check Check, good Files) *Loaded {
	files, unreadable := ReadFiles(dir)
	k := &keeping{dir: dir, catalog: catalog, isSet: isSet, check: check, good: good, now: files}
	l := &Loaded{}
	p, mistakes := k.try(files)
	l.Mistakes = unreadable.With(mistakes)
	l.SettingsBroken = p.settingsBroken || len(broken(unreadable)[ProjectFile]) > 0
	l.Files = maps.Clone(files)
	for name := range broken(unreadable) {
		k.restore(l.Files, name)
	}
	if !l.Files.Equal(files) {
		p, mistakes = k.try(l.Files)
	} else if len(broken(unreadable)[ProjectFile]) > 0 {
		return l
	}
	for {
		bad := broken(mistakes)
		if len(bad) == 0 {
			break
		}
		next := k.next(l.Files, bad)
		if next == nil {
			return l
		}
		l.Files = next
		p, mistakes = k.try(next)
	}
	l.Project = p
	for _, names := range []iter.Seq[string]{maps.Keys(files), maps.Keys(broken(unreadable))} {
		for name := range names {
			if _, there := l.Files[name]; !there {
				l.Left = append(l.Left, name)
			}
		}
	}
	for name, text := range l.Files {
		if now, there := files[name]; !there || string(now) != string(text) {
			l.Kept = append(l.Kept, name)
		}
	}
	slices.Sort(l.Kept)
	slices.Sort(l.Left)
	return l
}

// broken returns the errors by file.
func broken(ms Mistakes) map[string]Mistakes {
	out := map[string]Mistakes{}
	for _, m := range ms {
		if !m.Warning || m.Code == SecretNotSet {
			out[m.File] = append(out[m.File], m)
		}
	}
	return out
}

// keeping is one search for files that fit together.
type keeping struct {
	dir       string
	catalog   Catalog
	isSet     func(string) bool
	check     Check
	good, now Files
}

// try loads a set of files.
func (k *keeping) try(files Files) (*Project, Mistakes) {
	p, mistakes := LoadFiles(k.dir, files, k.catalog, k.isSet)
	if k.check != nil && len(broken(mistakes)) == 0 {
		mistakes = mistakes.With(k.check(p))
	}
	return p, mistakes
}

// next returns a set that is nearer to one without errors, nil when there is none:
// each call brings a file back to its last good text or takes one out.
func (k *keeping) next(files Files, bad map[string]Mistakes) Files {
	out := maps.Clone(files)
	changed := false
	for name := range bad {
		changed = k.restore(out, name) || changed
	}
	if changed {
		return out
	}
	// The broken files are as they were: what has changed elsewhere broke them.
	if one := k.culprit(files, len(bad)); one != "" {
		k.restore(out, one)
		return out
	}
	for _, name := range k.differing(out) {
		changed = k.restore(out, name) || changed
	}
	if changed {
		return out
	}
	// Even what was good does not load: with another version of Hookloom, or when a
	// secret has gone.
	for name := range bad {
		if name == ProjectFile {
			return nil
		}
		delete(out, name)
	}
	return out
}

// restore brings a file to its last good text; false when it has it already.
func (k *keeping) restore(files Files, name string) bool {
	now, there := files[name]
	text, known := k.good[name]
	switch {
	case known && (!there || string(now) != string(text)):
		files[name] = text
	case !known && there && !k.settled(name):
		delete(files, name)
	default:
		return false
	}
	return true
}

// settled reports whether a file must stay: without its settings there is no project.
func (k *keeping) settled(name string) bool { return name == ProjectFile }

// differing lists the files that are not as they were, the settings first.
func (k *keeping) differing(files Files) []string {
	var out []string
	for name := range k.good {
		if now, there := files[name]; !there || string(now) != string(k.good[name]) {
			out = append(out, name)
		}
	}
	for name := range files {
		if _, known := k.good[name]; !known {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// culprit finds the one changed file without whose change fewer files are broken.
func (k *keeping) culprit(files Files, bad int) string {
	for _, name := range k.differing(files) {
		trial := maps.Clone(files)
		if !k.restore(trial, name) {
			continue
		}
		if _, mistakes := k.try(trial); len(broken(mistakes)) < bad {
			return name
		}
	}
	return ""
}
