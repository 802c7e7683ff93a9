package store

import (
	"context"
	"errors"
)

// CopyParts are the parts of copying tables of a database into another one: first those that only read.
func CopyParts(source, target *Store, tables ...string) (parts []Part) {
	parts = []Part{
		{"incomplete", source.incomplete}, {"copied", source.copied},
		{"mayTakeCopy", func(ctx context.Context) error {
			if err := target.mayTakeCopy(ctx); err != nil {
				return err
			}
			return errors.New("a database with rows may take a copy")
		}},
	}
	for _, table := range tables {
		c := &copier{source: source, target: target, table: table}
		parts = append(parts, Part{"read " + table, c.read}, Part{"difference " + table, func(ctx context.Context) error {
			text, err := c.difference(ctx)
			if err == nil && text != "both are the same when they are read again" {
				err = errors.New(text)
			}
			return err
		}})
	}
	parts = append(parts, Part{"beginCopy", func(ctx context.Context) error { return target.beginCopy(ctx, "x") }},
		Part{"mayTakeCopy again", target.mayTakeCopy})
	for _, table := range tables {
		parts = append(parts, Part{"run " + table, (&copier{source: source, target: target, table: table}).run})
	}
	return append(parts, Part{"endCopy", target.endCopy}, Part{"markCopied", func(ctx context.Context) error {
		return target.markCopied(ctx, "x")
	}})
}
