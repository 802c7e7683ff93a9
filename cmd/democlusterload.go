package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hookloom/hookloom/triggers"
)

// clusterSink is the service that the runs of the demo call.
type clusterSink struct {
	base   string
	server *http.Server
	ended  chan error
	mu     sync.Mutex
	calls  map[string]int // guarded by mu; by run and path
}

func newClusterSink() (*clusterSink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &clusterSink{base: "http://" + l.Addr().String(), calls: map[string]int{}, ended: make(chan error, 1)}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	go func() { s.ended <- s.server.Serve(l) }()
	return s, nil
}

// ServeHTTP implements http.Handler. It takes as long as many services.
func (s *clusterSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Run string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&body); err != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.calls[body.Run+r.URL.Path]++
	s.mu.Unlock()
	select {
	case <-r.Context().Done():
	case <-time.After(150 * time.Millisecond):
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{}") // a killed node shows in the history
}

// count is how often a step of a run has called.
func (s *clusterSink) count(run, path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[run+"/"+path]
}

func (s *clusterSink) close() error {
	err := s.server.Close()
	if ended := <-s.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// clusterSenders is how many deliveries are under way at once.
const clusterSenders = 8

// clusterLoad sends the events to both nodes in turn. A sender that gets no 2xx tries the next node with
// the same event, as a provider does.
type clusterLoad struct {
	c    *cluster
	l    *loaded
	half chan struct{}
	mu   sync.Mutex
	ids  map[string]bool // guarded by mu: the events that were acknowledged
}

func (c *cluster) newLoad() (*clusterLoad, error) {
	l, err := load(c.dir)
	if err != nil {
		return nil, err
	}
	return &clusterLoad{c: c, l: l, half: make(chan struct{}), ids: map[string]bool{}}, nil
}

// run sends all events.
func (d *clusterLoad) run(ctx context.Context) error {
	next := make(chan int)
	errs := make(chan error, clusterSenders)
	for range clusterSenders {
		go func() {
			var err error
			for n := range next {
				if err == nil {
					err = d.send(ctx, n)
				}
			}
			errs <- err
		}()
	}
	for n := range clusterEvents {
		next <- n
	}
	close(next)
	var err error
	for range clusterSenders {
		err = errors.Join(err, <-errs)
	}
	return err
}

// send sends one event until a node acknowledges it.
func (d *clusterLoad) send(ctx context.Context, n int) error {
	s, err := triggers.Sample(d.l.project, "hook", d.l.secrets.Lookup, triggers.SampleOrder{ID: fmt.Sprint("event-", n),
		Body: fmt.Appendf(nil, `{"type":"order","data":{"n":%d}}`, n)})
	if err != nil {
		return err
	}
	for try := range 100 {
		status, body, err := deliver(ctx, "http://"+d.c.nodes[(n+try)%2].addr, s)
		var answer struct{ Event string }
		if err == nil && status/100 == 2 && json.Unmarshal([]byte(body), &answer) == nil && answer.Event != "" {
			d.acknowledge(answer.Event)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("event %d was not acknowledged by any node", n)
}

func (d *clusterLoad) acknowledge(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids[id] = true
	if len(d.ids) == clusterEvents/2 {
		close(d.half)
	}
}

// acknowledged is how many events were acknowledged.
func (d *clusterLoad) acknowledged() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ids)
}

// events are the ids of the acknowledged events. The load has ended.
func (d *clusterLoad) events() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]string, 0, len(d.ids))
	for id := range d.ids {
		out = append(out, id)
	}
	return out
}
