package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/hookloom/hookloom/engine"
)

// rules removes the shared rules of versions that nobody needs: no node has loaded them, and the history has
// no run of them, nor one that may call or replay them. A node that has just loaded such a version notices:
// its decisions are rejected, it loads its project again, and so shares the version again.
func (p *pruner) rules(ctx context.Context) error {
	if p.s.w.pg == nil {
		return nil
	}
	shared, err := collect(ctx, p.s.readers, `SELECT version, workflow FROM shared_rules ORDER BY version`, nil,
		func(r scanner) (v engine.Run, err error) {
			err = r.Scan(&v.Version, &v.Workflow)
			return v, err
		})
	if err != nil {
		return fmt.Errorf("pruning rules: %w", err)
	}
	var unused []string
	for _, v := range shared {
		if slices.Contains(p.o.Loaded, v.Version) {
			continue
		}
		used, err := p.mayRun(ctx, v)
		if err != nil {
			return fmt.Errorf("pruning rules: %w", err)
		}
		if !used {
			unused = append(unused, v.Version)
		}
	}
	if len(unused) == 0 {
		return nil
	}
	return p.step(ctx, func(t *tx) error { return t.dropRules(unused) })
}

// mayRun reports whether the history has a run of a version, or of one whose runs call it, directly or not.
func (p *pruner) mayRun(ctx context.Context, v engine.Run) (bool, error) {
	for list, i := []engine.Run{v}, 0; i < len(list); i++ {
		var has bool
		if err := p.s.readers.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM runs WHERE workflow = ? AND version = ?)`, list[i].Workflow,
			list[i].Version).Scan(&has); err != nil || has {
			return has, err
		}
		callers, err := collect(ctx, p.s.readers, `SELECT DISTINCT v.version, v.workflow FROM version_uses u JOIN versions v ON
			v.version = u.version WHERE instr(u.uses, ?) > 0`, []any{list[i].Version}, func(r scanner) (x engine.Run, err error) {
			err = r.Scan(&x.Version, &x.Workflow)
			return x, err
		})
		if err != nil {
			return false, err
		}
		for _, x := range callers {
			if !slices.ContainsFunc(list, func(y engine.Run) bool { return x.Version == y.Version }) {
				list = append(list, x)
			}
		}
	}
	return false, nil
}

// dropRules removes the rules of versions, unless nodes have different projects: a project is being changed.
func (t *tx) dropRules(versions []string) error {
	v := make([]driver.Value, 1)
	if _, err := t.row(`SELECT count(DISTINCT digest) FROM nodes WHERE NOT gone AND verb = 'serve'`, v); err != nil {
		return err
	}
	if projects, _ := v[0].(int64); projects > 1 {
		return nil
	}
	changes := int64(0)
	for _, version := range versions {
		if err := t.exec(`DELETE FROM shared_rules WHERE version = ?`, version); err != nil {
			return err
		}
		changes += t.changes
	}
	if changes == 0 {
		return nil
	}
	return t.rulesChanged()
}
