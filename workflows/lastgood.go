package workflows

import (
	"iter"
	"maps"
	"slices"
)

// Loaded is the result of LoadKeeping.
type Loaded struct {
	// Project is built from the files in use; nil if none can run.
	Project *Project
	// Mistakes are those of the current files, whether in use or not.
	Mistakes Mistakes
	// Files are the contents in use.
	Files Files
	// Kept are the files whose last good version is in use; Left are those that are not used
	// because they have none: they are broken, or break another.
	Kept, Left []string
	// SettingsBroken reports whether the server's settings cannot be read: hookloom.yaml is not
	// valid YAML, or its server: part has a mistake.
	SettingsBroken bool
}

// Check looks for further mistakes in a project without mistakes of its own, such as secrets that
// do not fit their scheme.
type Check func(*Project) Mistakes

// LoadKeeping reads and checks the project in dir. For a file with a mistake it uses the version in
// good, the files in use before; for every other file the current one. If a change breaks a file
// that has not changed (for example, a trigger was renamed that a workflow listens to), the changed
// file keeps its last good version. isSet is as for Load, but a secret without a value is an error
// here, since nothing runs without it. A nil check checks nothing. environment is as for ReadFiles;
// files of other environments in good are ignored.
func LoadKeeping(dir, environment string, catalog Catalog, isSet func(string) bool, check Check, good Files) *Loaded {
	files, unreadable := ReadFiles(dir, environment)
	k := &keeping{dir: dir, catalog: catalog, isSet: isSet, check: check, good: good.in(environment), now: files,
		removed: map[string]bool{}}
	l := &Loaded{}
	p, mistakes := k.try(files)
	l.Mistakes = unreadable.With(mistakes)
	unreadableSettings := slices.ContainsFunc(slices.Collect(maps.Keys(broken(unreadable))), IsSettings)
	l.SettingsBroken = p.settingsBroken || unreadableSettings
	l.Files = maps.Clone(files)
	for name := range broken(unreadable) {
		k.restore(l.Files, name)
	}
	if !l.Files.Equal(files) {
		p, mistakes = k.try(l.Files)
	} else if unreadableSettings {
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

// keeping is the search for a set of files that loads without errors.
type keeping struct {
	dir       string
	catalog   Catalog
	isSet     func(string) bool
	check     Check
	good, now Files
	// removed are the files whose last good version does not load either: they are not restored, so the
	// search ends.
	removed map[string]bool
}

// try loads a set of files.
func (k *keeping) try(files Files) (*Project, Mistakes) {
	p, mistakes := LoadFiles(k.dir, files, k.catalog, k.isSet)
	if k.check != nil && len(broken(mistakes)) == 0 {
		mistakes = mistakes.With(k.check(p))
	}
	return p, mistakes
}

// next returns a set that is closer to one without errors, nil if there is none: each call restores
// the last good version of a file or removes it.
func (k *keeping) next(files Files, bad map[string]Mistakes) Files {
	out := maps.Clone(files)
	changed := false
	for name := range bad {
		changed = k.restore(out, name) || changed
	}
	if changed {
		return out
	}
	// The broken files have not changed: a change in another file broke them.
	if one := k.fileToRestore(files, len(bad)); one != "" {
		k.restore(out, one)
		return out
	}
	for _, name := range k.differing(out) {
		changed = k.restore(out, name) || changed
	}
	if changed && !k.brokenIn(out, bad) {
		return out
	}
	// Even the last good files do not load: Hookloom was upgraded, or a secret was removed. The changes are
	// not the reason, and stay.
	for name := range bad {
		if IsSettings(name) {
			return nil
		}
	}
	out = maps.Clone(files)
	for name := range bad {
		k.removed[name] = true
		delete(out, name)
	}
	return out
}

// brokenIn reports whether all broken files are broken in another set of files, too.
func (k *keeping) brokenIn(files Files, bad map[string]Mistakes) bool {
	_, mistakes := k.try(files)
	still := broken(mistakes)
	for name := range bad {
		if still[name] == nil {
			return false
		}
	}
	return true
}

// restore restores the last good version of a file; it returns false if the file is unchanged.
func (k *keeping) restore(files Files, name string) bool {
	now, there := files[name]
	text, known := k.good[name]
	switch {
	case k.removed[name] && !there:
		return false
	case known && (!there || string(now) != string(text)):
		files[name] = text
	case !known && there && !k.settled(name):
		delete(files, name)
	default:
		return false
	}
	return true
}

// settled reports whether a file cannot be removed: a project needs its settings.
func (k *keeping) settled(name string) bool { return IsSettings(name) }

// differing lists the changed files, the settings first.
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

// fileToRestore returns the changed file whose restoration leaves fewer files broken.
func (k *keeping) fileToRestore(files Files, bad int) string {
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
