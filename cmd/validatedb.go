package cmd

import (
	"context"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

type validateOptions struct {
	format, db      string
	strict, verbose bool
}

// ownDatabase is the value of --db without a file: the project's own database.
const ownDatabase = "own"

// validatedEvents is the number of recorded events per trigger to check.
const validatedEvents = 500

// load loads a project; with --db it checks expressions against recorded events.
func (o *validateOptions) load(ctx context.Context, dir string) (*loaded, error) {
	if o.db == "" {
		return loadAsked(ctx, dir, nil)
	}
	file := o.db
	if file == ownDatabase {
		l, err := load(dir)
		if err != nil {
			return nil, err
		}
		file = database(dir, "", l.project)
	}
	h, err := store.OpenHistory(file)
	if err != nil {
		return nil, err
	}
	defer h.Close() //nolint:errcheck // it was only read
	var failed error
	l, err := loadRecorded(ctx, dir, nil, func(trigger string, types []string) (list []any) {
		_, err := h.EachEvent(ctx, trigger, "", validatedEvents, func(ev *engine.Event) bool {
			if names, err := ev.Names(); err == nil && names["data"] != nil && takes(types, ev.Type) {
				list = append(list, names["data"])
			}
			return true
		})
		if err != nil {
			failed = err
		}
		return list
	})
	if failed != nil {
		return nil, failed
	}
	return l, err
}

// takes reports whether a filter of types accepts a type; an empty one accepts all.
func takes(types []string, kind string) bool {
	return len(types) == 0 || slices.ContainsFunc(types, func(t string) bool {
		prefix, open := strings.CutSuffix(t, "*")
		return t == kind || open && strings.HasPrefix(kind, prefix)
	})
}
