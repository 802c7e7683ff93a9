package cmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// This file is what a server does as a node of its database: it tells which files it has loaded,
// compares them with those of the other nodes, and ends when it is asked to drain.

const (
	// drainDelay is by default longer than a load balancer takes to notice: HAProxy's of
	// examples/deploy asks each second and needs two answers.
	drainDelay = 5 * time.Second
	// compareEvery is how often the files of the nodes are compared.
	compareEvery = 10 * time.Second
	// unevenTime is how long an update of all nodes may take before their difference is reported.
	unevenTime = time.Minute
)

var nodeNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// nodeName checks the name of a node; empty for the host's name.
func nodeName(name string) (string, error) {
	if name == "" || nodeNames.MatchString(name) {
		return name, nil
	}
	return "", usageError("%q is not a name of a node: use letters, digits, . _ and -, at most 63, such as node-1", name)
}

// digestOf identifies the files of a project. Nodes with the same digest do the same with an event.
func digestOf(files workflows.Files) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%d %s %d ", len(name), name, len(files[name]))
		h.Write(files[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// describe tells the other nodes which version and which files this one has.
func (s *server) describe(ctx context.Context, digest string) {
	if s.digest == digest {
		return
	}
	if err := s.store.DescribeNode(ctx, engine.NodeInfo{Version: version(), Digest: digest}); err != nil {
		s.o.log.Warn("the other nodes were not notified of the files of this one", "error", err)
		return // the next reload tries again
	}
	s.digest = digest
}

// followNodes keeps up with the other nodes until ctx ends.
func (s *server) followNodes(ctx context.Context) {
	var captured sync.WaitGroup
	captured.Go(func() { s.shared.follow(ctx, captureRetry) })
	s.watchNodes(ctx)
	captured.Wait()
}

// watchNodes waits until this node is to drain, and compares its files with those of the others.
func (s *server) watchNodes(ctx context.Context) {
	heard := s.store.Subscribe(ctx, engine.SignalNodes)
	tick := time.NewTicker(compareEvery)
	defer tick.Stop()
	var since time.Time
	for !s.store.Draining() {
		select {
		case <-ctx.Done():
			return
		case <-heard:
		case <-tick.C:
			since = s.compareNodes(ctx, since)
		}
	}
	s.o.log.Info("draining: /readyz answers 503; deliveries are still accepted for a while", "delay", s.o.drainDelay)
	select {
	case <-ctx.Done():
	case <-time.After(s.o.drainDelay):
		close(s.drained)
	}
}

// compareNodes notes whether the nodes have had different files for longer than an update takes; since
// is when that began, zero if it has not.
func (s *server) compareNodes(ctx context.Context, since time.Time) time.Time {
	if !postgres.IsAddress(s.db) {
		return since // it is the only node
	}
	list, err := s.store.Nodes(ctx)
	if err != nil {
		return since // /readyz reports a database that is away
	}
	if unevenNodes(list) == "" {
		if s.uneven.Swap(false) {
			s.o.log.Info("the nodes have the same project files again")
		}
		return time.Time{}
	}
	if since.IsZero() {
		since = time.Now()
	}
	if time.Since(since) > unevenTime && !s.uneven.Swap(true) {
		s.o.log.Warn("the nodes have different project files", "nodes", unevenNodes(list))
	}
	return since
}

// unevenNodes says which files the living nodes have if these differ; else it is empty.
func unevenNodes(list []engine.NodeItem) string {
	text, first := "", ""
	differ := false
	for _, n := range list {
		if n.State == engine.NodeGone || n.Digest == "" {
			continue
		}
		if first == "" {
			first = n.Digest
		}
		differ = differ || n.Digest != first
		if text != "" {
			text += ", "
		}
		text += n.Digest + " on " + n.Name
	}
	if !differ {
		return ""
	}
	return text
}

// permits divides the rates of triggers between the nodes; nil if there is one node.
func (s *server) permits() triggers.Permits {
	if !s.store.Shared() {
		return nil
	}
	return s.store.TakePermits
}

// shareKey compares the key of this node with those of the others.
func (s *server) shareKey(ctx context.Context) error {
	if !s.store.Shared() {
		return nil
	}
	key, err := s.keys.Key("comparison of nodes")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(key)
	return s.store.ShareKey(ctx, hex.EncodeToString(sum[:12]))
}
