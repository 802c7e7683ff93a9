package alert

import (
	"context"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file lets one of several nodes report a condition, and any of them that it is over. The nodes
// publish one after another, by a lease, and read before what the others have published.

const (
	// publishLease is the lease of the node that publishes.
	publishLease = "alerts"
	// followEvery is how often a node reads what the others have published.
	followEvery = time.Second
)

// ofNode are the kinds of conditions of single nodes: a node that does not have one says nothing about the
// others.
var ofNode = []string{engine.AlertReloadFailed, engine.AlertSecretsFailing, engine.AlertDiskLow, engine.AlertCircuitOpen,
	engine.AlertRefusals}

// holdLease is the lease of the node that has an alert of a single node open. It ends with the node, so that
// another one closes what a node reported that never returns.
func holdLease(k key) string { return "alert " + k.kind + " " + k.subject }

// ofOneNode reports whether an alert is one that each of several nodes finds by itself. It has a lease.
func (m *Monitor) ofOneNode(k key) bool { return m.o.Store.Shared() && slices.Contains(ofNode, k.kind) }

// endHold ends the lease of an alert that is no longer open. A node that kept it would close the next alert of
// another node.
func (m *Monitor) endHold(ctx context.Context, k key) error {
	if !m.ofOneNode(k) {
		return nil
	}
	return m.o.Store.EndLease(ctx, holdLease(k))
}

// closeAbandoned closes the alerts of nodes that are gone, and keeps the leases of this node's own.
func (m *Monitor) closeAbandoned(ctx context.Context) {
	for _, a := range m.OpenAlerts() {
		k := key{a.Kind, a.Subject}
		if !m.ofOneNode(k) || !engine.Leads(ctx, m.o.Store, holdLease(k)) {
			continue
		}
		m.mu.Lock()
		own := m.own[k]
		m.own[k] = true
		_, open := m.open[k]
		m.mu.Unlock()
		switch {
		case !open:
			if err := m.endHold(ctx, k); err != nil && ctx.Err() == nil {
				m.o.Log.Warn("the lease of a closed alert was not released", "kind", k.kind, "subject", k.subject, "error", err)
			}
		case !own:
			m.AlertOver(k.kind, k.subject)
		}
	}
}

// mayEnd reports whether this node may end a condition; it is called with the lock held.
func (m *Monitor) mayEnd(k key) bool {
	return m.own[k] || !m.ofOneNode(k)
}

// retryAfter is when reports that were not published are tried again: soon, if another node is publishing.
func (m *Monitor) retryAfter() time.Duration {
	if m.o.Store.Shared() {
		return followEvery / 4
	}
	return 5 * time.Second
}

// endTurn lets another node publish.
func (m *Monitor) endTurn(ctx context.Context) {
	if err := m.o.Store.EndLease(context.WithoutCancel(ctx), publishLease); err != nil && ctx.Err() == nil {
		m.o.Log.Warn("the other nodes cannot publish alerts now", "error", err)
	}
}

// follow reads which alerts are open. Only the goroutine of Run changes them, so none is lost.
func (m *Monitor) follow(ctx context.Context) {
	list, err := m.o.Store.OpenAlerts(ctx)
	if err != nil {
		return // it is tried again in a second
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.open)
	for _, a := range list {
		m.open[key{a.Kind, a.Subject}] = a
	}
	m.some.Store(int64(len(m.open) + len(m.pending)))
}
