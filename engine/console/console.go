// Package console is the admin address: the API under /api/v1, health, metrics,
// and pages to look at events and runs. Payloads are hostile to it: they are
// shown as text only, under a strict content security policy.
//
// It knows the engine's nouns and two contracts, Log and Operator. It must not
// know SQL, triggers or actions.
package console

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// Log is what the console reads. The store's History fits.
type Log interface {
	Events(context.Context, engine.Query) ([]engine.EventItem, error)
	EventDetail(context.Context, engine.EventID) (*engine.EventDetail, error)
	Runs(context.Context, engine.Query) ([]engine.RunItem, error)
	RunDetail(context.Context, engine.RunID) (*engine.RunDetail, error)
	Quarantine(context.Context, engine.Query) ([]engine.RefusalItem, error)
	Refusal(ctx context.Context, id string) (*engine.RefusalItem, []byte, error)
	SecretUses(context.Context) ([]engine.SecretUse, error)
	Sightings(ctx context.Context, trigger string, since time.Time) (engine.Sightings, error)
	InletState(ctx context.Context, trigger, inlet string) (engine.InletState, error)
}

// Operator is what the console may do. The engine fits.
type Operator interface {
	Fire(ctx context.Context, workflow string, inputs map[string]any, who, why string) (engine.Receipt, error)
	Replay(ctx context.Context, of engine.RunID, from, version, by string) (engine.RunID, error)
	Cancel(ctx context.Context, id engine.RunID) error
	Answer(ctx context.Context, id engine.RunID, word engine.Word) (plan.Question, error)
	Link(ctx context.Context, id engine.RunID, path, by string) (token string, q plan.Question, err error)
	Destinations() []destination.State
	Paused() []engine.Pause
	Unpause(ctx context.Context, endpoint string) (int, error)
	Prune(ctx context.Context, h workflows.History) (engine.Pruned, error)
}

// Options are the console's parts.
type Options struct {
	Log      Log
	Operator Operator
	Project  func() *workflows.Project
	// Token guards every page and call; it may be empty on loopback only.
	Token    string
	Loopback bool
	Ready    func() error
	Logger   *slog.Logger
	// Admit judges a refused delivery again and stores it when it is genuine now.
	Admit func(ctx context.Context, id string) (engine.Receipt, error)
	// Poll polls a trigger now and tells how that went.
	Poll func(ctx context.Context, trigger string) (any, error)
}

// Console is the handler of the admin address.
type Console struct {
	o       Options
	handler http.Handler
	// done ends the live streams when the server stops.
	done  chan struct{}
	close sync.Once
}

// New makes the handler. An address that others can reach needs a token.
func New(o Options) (*Console, error) {
	if !o.Loopback && o.Token == "" {
		return nil, errors.New("an admin address other than loopback needs a token: set HOOKLOOM_TOKEN, or server.token in hookloom.yaml")
	}
	c := &Console{o: o, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/events", c.listEvents)
	mux.HandleFunc("GET /api/v1/events/{id}", c.oneEvent)
	mux.HandleFunc("POST /api/v1/events/{id}/replay", c.replayEvent)
	mux.HandleFunc("GET /api/v1/runs", c.listRuns)
	mux.HandleFunc("GET /api/v1/runs/{id}", c.oneRun)
	mux.HandleFunc("POST /api/v1/runs/{id}/replay", c.replayRun)
	mux.HandleFunc("POST /api/v1/runs/{id}/cancel", c.cancelRun)
	mux.HandleFunc("POST /api/v1/runs/{id}/approve", c.answerRun)
	mux.HandleFunc("GET /api/v1/deadletters", c.listDead)
	mux.HandleFunc("GET /api/v1/quarantine", c.listQuarantine)
	mux.HandleFunc("GET /api/v1/quarantine/{id}", c.oneRefusal)
	mux.HandleFunc("POST /api/v1/quarantine/{id}/replay", c.admit)
	mux.HandleFunc("GET /api/v1/destinations", c.listDestinations)
	mux.HandleFunc("POST /api/v1/destinations/resume", c.resumeEndpoint)
	mux.HandleFunc("POST /api/v1/prune", c.prune)
	mux.HandleFunc("GET /api/v1/triggers", c.listTriggers)
	mux.HandleFunc("POST /api/v1/triggers/{name}/poll", c.pollNow)
	mux.HandleFunc("GET /api/v1/compare/{trigger...}", c.compare)
	mux.HandleFunc("GET /api/v1/workflows", c.listWorkflows)
	mux.HandleFunc("POST /api/v1/workflows/{id...}", c.fire)
	c.pages(mux)
	// Browsers of other sites may not act here, token or not.
	guarded := http.NewCrossOriginProtection().Handler(c.authorized(mux))
	c.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz", "/readyz":
			Health(w, r, o.Ready)
		default:
			guarded.ServeHTTP(w, r)
		}
	})
	return c, nil
}

// Close ends what would keep connections open.
func (c *Console) Close() { c.close.Do(func() { close(c.done) }) }

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// Health answers /healthz, which holds while the process turns, and /readyz,
// which holds while it can store.
func Health(w http.ResponseWriter, r *http.Request, ready func() error) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/readyz" {
		if err := ready(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, `{"status":"not ready"}`)
			return
		}
	}
	fmt.Fprintln(w, `{"status":"ok"}`)
}

// authorized lets callers with the token in; on loopback without a token, those
// who name a loopback host: a page of another site that points its own name
// here (DNS rebinding) sends that name.
func (c *Console) authorized(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(c.o.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.o.Token == "" {
			if !loopbackHost(r.Host) {
				problem(w, http.StatusForbidden, "this host name is not served here")
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, password, ok := r.BasicAuth(); ok {
			given = password
		}
		got := sha256.Sum256([]byte(given))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="Hookloom: any name, the token as password"`)
			problem(w, http.StatusUnauthorized, "a token is needed")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func problem(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"error": text})
}

func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be encoded"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the caller is gone if this fails
}

// fail answers an error: what the caller did wrong in words, the rest as 500.
func (c *Console) fail(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, engine.ErrNotFound):
		problem(w, http.StatusNotFound, "not found")
	case errors.Is(err, engine.ErrStale):
		problem(w, http.StatusConflict, err.Error())
	case errors.Is(err, engine.ErrFull), errors.Is(err, engine.ErrBusy), errors.Is(err, engine.ErrClosed):
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, "cannot store now, try again")
	default:
		c.o.Logger.Error("admin call failed", "error", err)
		problem(w, http.StatusInternalServerError, "internal error; the log says more")
	}
}

// query reads the filters of design.md section 5.
func query(v url.Values) (engine.Query, error) {
	q := engine.Query{Trigger: v.Get("trigger"), Workflow: v.Get("workflow"), Status: v.Get("status"), Type: v.Get("type"), Grep: v.Get("q"), After: v.Get("after"), Event: v.Get("event")}
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1000 {
			return q, errors.New("limit is a number from 1 to 1000")
		}
		q.Limit = n
	}
	if s := v.Get("since"); s != "" {
		t, err := Since(s, time.Now())
		if err != nil {
			return q, err
		}
		q.Since = t
	}
	return q, nil
}

// Since reads a moment: RFC 3339, or a duration back from now such as 2h or 7d.
func Since(s string, now time.Time) (time.Time, error) {
	if d, err := workflows.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("since %q: write 2h, 7d or 2026-01-31T10:00:00Z", s)
}

// page is how lists are answered.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

func list[T any](c *Console, w http.ResponseWriter, r *http.Request, change func(*engine.Query), get func(context.Context, engine.Query) ([]T, error), id func(T) string) {
	q, err := query(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if change != nil {
		change(&q)
	}
	items, err := get(r.Context(), q)
	if err != nil {
		c.fail(w, err)
		return
	}
	limit := q.Limit
	if limit == 0 {
		limit = 50
	}
	p := page[T]{Items: items}
	if len(items) == limit {
		p.Next = id(items[len(items)-1])
	}
	reply(w, http.StatusOK, p)
}

func eventID(i engine.EventItem) string     { return i.ID }
func runID(i engine.RunItem) string         { return i.ID }
func refusalID(i engine.RefusalItem) string { return i.ID }

func (c *Console) listEvents(w http.ResponseWriter, r *http.Request) {
	list(c, w, r, nil, c.o.Log.Events, eventID)
}

func (c *Console) listRuns(w http.ResponseWriter, r *http.Request) {
	list(c, w, r, nil, c.o.Log.Runs, runID)
}

func (c *Console) listDead(w http.ResponseWriter, r *http.Request) {
	list(c, w, r, func(q *engine.Query) { q.DeadOnly = true }, c.o.Log.Runs, runID)
}

func (c *Console) listQuarantine(w http.ResponseWriter, r *http.Request) {
	list(c, w, r, nil, c.o.Log.Quarantine, refusalID)
}

func (c *Console) oneRefusal(w http.ResponseWriter, r *http.Request) {
	item, _, err := c.o.Log.Refusal(r.Context(), r.PathValue("id"))
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, item)
}

// admit judges a refused delivery again and stores it when it is genuine now.
func (c *Console) admit(w http.ResponseWriter, r *http.Request) {
	receipt, err := c.o.Admit(r.Context(), r.PathValue("id"))
	if err != nil {
		c.conflict(w, err)
		return
	}
	status := "accepted"
	if receipt.Duplicate {
		status = "duplicate"
	}
	reply(w, http.StatusAccepted, map[string]string{"status": status, "event": receipt.Event.String()})
}

func (c *Console) oneEvent(w http.ResponseWriter, r *http.Request) {
	id, err := engine.ParseEventID(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	d, err := c.o.Log.EventDetail(r.Context(), id)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, d)
}

func (c *Console) oneRun(w http.ResponseWriter, r *http.Request) {
	id, err := engine.ParseRunID(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	d, err := c.o.Log.RunDetail(r.Context(), id)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, d)
}

// replayOrder is the body of a replay.
type replayOrder struct {
	From    string `json:"from"`
	Version string `json:"version"`
	By      string `json:"by"`
}

func readOrder(r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && r.ContentLength != 0 {
		return fmt.Errorf("the body is not what is expected: %w", err)
	}
	return nil
}

func (o *replayOrder) check() error {
	if o.From == "" {
		o.From = "start"
	}
	if o.Version == "" {
		o.Version = "pinned"
	}
	if o.From != "start" && o.From != "failed" {
		return errors.New("from is start or failed")
	}
	if o.Version != "pinned" && o.Version != "current" {
		return errors.New("version is pinned or current")
	}
	return nil
}

func (c *Console) order(w http.ResponseWriter, r *http.Request) (replayOrder, bool) {
	var o replayOrder
	err := readOrder(r, &o)
	if err == nil {
		err = o.check()
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return o, false
	}
	return o, true
}

func (c *Console) replayRun(w http.ResponseWriter, r *http.Request) {
	id, err := engine.ParseRunID(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	o, ok := c.order(w, r)
	if !ok {
		return
	}
	n, err := c.o.Operator.Replay(r.Context(), id, o.From, o.Version, o.By)
	if err != nil {
		c.conflict(w, err)
		return
	}
	reply(w, http.StatusAccepted, map[string]any{"runs": []string{n.String()}})
}

// conflict answers an order that cannot be carried out as things stand.
func (c *Console) conflict(w http.ResponseWriter, err error) {
	if errors.Is(err, engine.ErrNotFound) || errors.Is(err, engine.ErrFull) || errors.Is(err, engine.ErrBusy) {
		c.fail(w, err)
		return
	}
	problem(w, http.StatusConflict, err.Error())
}

// replayEvent repeats every run that an event has had, once a workflow.
func (c *Console) replayEvent(w http.ResponseWriter, r *http.Request) {
	id, err := engine.ParseEventID(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	o, ok := c.order(w, r)
	if !ok {
		return
	}
	runs, err := c.o.Log.Runs(r.Context(), engine.Query{Event: id.String(), Limit: 1000})
	if err != nil {
		c.fail(w, err)
		return
	}
	made := []string{}
	seen := map[string]bool{}
	for _, run := range runs {
		if seen[run.Workflow] {
			continue
		}
		seen[run.Workflow] = true
		of, err := engine.ParseRunID(run.ID)
		if err != nil {
			c.fail(w, err)
			return
		}
		n, err := c.o.Operator.Replay(r.Context(), of, o.From, o.Version, o.By)
		if err != nil {
			c.conflict(w, err)
			return
		}
		made = append(made, n.String())
	}
	if len(made) == 0 {
		problem(w, http.StatusConflict, "this event has no runs to replay")
		return
	}
	reply(w, http.StatusAccepted, map[string]any{"runs": made})
}

func (c *Console) cancelRun(w http.ResponseWriter, r *http.Request) {
	id, err := engine.ParseRunID(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := c.o.Operator.Cancel(r.Context(), id); err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusAccepted, map[string]string{"status": "cancelled"})
}

// pollNow asks a trigger's service for what is new.
func (c *Console) pollNow(w http.ResponseWriter, r *http.Request) {
	report, err := c.o.Poll(r.Context(), r.PathValue("name"))
	switch {
	case errors.Is(err, engine.ErrNotFound):
		problem(w, http.StatusNotFound, err.Error())
	case err != nil:
		problem(w, http.StatusBadGateway, err.Error())
	default:
		reply(w, http.StatusOK, report)
	}
}

// compare sets the webhook of a trigger against its poll.
func (c *Console) compare(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("trigger")
	if c.o.Project().Triggers[name] == nil {
		problem(w, http.StatusNotFound, "no trigger is named "+name)
		return
	}
	now := time.Now()
	since := now.Add(-30 * 24 * time.Hour)
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = Since(text, now); err != nil {
			problem(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	s, err := c.o.Log.Sightings(r.Context(), name, since)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, engine.Compare(name, since.UTC(), now, s))
}

// listDestinations tells how the hosts stand that steps go to.
func (c *Console) listDestinations(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"items": c.o.Operator.Destinations(), "paused": c.o.Operator.Paused()})
}

// prune removes old history; what is not given is as hookloom.yaml says.
func (c *Console) prune(w http.ResponseWriter, r *http.Request) {
	var o struct {
		Keep    string `json:"keep"`
		Bodies  string `json:"bodies"`
		MaxSize string `json:"max_size"`
	}
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	h, err := c.o.Project().History.With(o.Keep, o.Bodies, o.MaxSize)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	n, err := c.o.Operator.Prune(r.Context(), h)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, n)
}

// resumeEndpoint lets an endpoint go on that answered 410.
func (c *Console) resumeEndpoint(w http.ResponseWriter, r *http.Request) {
	var o struct {
		Endpoint string `json:"endpoint"`
	}
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	n, err := c.o.Operator.Unpause(r.Context(), o.Endpoint)
	switch {
	case err != nil:
		c.fail(w, err)
	case n == 0:
		problem(w, http.StatusNotFound, "no such endpoint is paused")
	default:
		reply(w, http.StatusOK, map[string]any{"resumed": n})
	}
}

// answerRun gives a person's word to a run that waits for one.
func (c *Console) answerRun(w http.ResponseWriter, r *http.Request) {
	id, err := engine.ParseRunID(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	var o struct {
		Step    string          `json:"step"`
		Verdict string          `json:"verdict"`
		By      string          `json:"by"`
		Comment string          `json:"comment"`
		Result  json.RawMessage `json:"result"`
		// Link asks for a link with which somebody else answers.
		Link bool `json:"link"`
	}
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if o.Link {
		token, q, err := c.o.Operator.Link(r.Context(), id, o.Step, o.By)
		if err != nil {
			c.conflict(w, err)
			return
		}
		base := strings.TrimRight(c.o.Project().Server.PublicURL, "/")
		reply(w, http.StatusOK, map[string]string{"run": id.String(), "step": q.Path, "question": q.Text, "link": base + ApprovePath + token})
		return
	}
	word := engine.Word{Path: o.Step, Verdict: cmp.Or(o.Verdict, "approve"), By: o.By, Comment: o.Comment}
	if len(o.Result) > 0 {
		if word.Result, err = workflows.DecodeJSON(o.Result); err != nil {
			problem(w, http.StatusBadRequest, "result: "+err.Error())
			return
		}
	}
	q, err := c.o.Operator.Answer(r.Context(), id, word)
	if err != nil {
		c.conflict(w, err)
		return
	}
	reply(w, http.StatusAccepted, map[string]string{"run": id.String(), "step": q.Path, "question": q.Text, "verdict": word.Verdict})
}

// fire starts a workflow by hand: POST /api/v1/workflows/ID/fire.
func (c *Console) fire(w http.ResponseWriter, r *http.Request) {
	id, ok := strings.CutSuffix(r.PathValue("id"), "/fire")
	if !ok {
		problem(w, http.StatusNotFound, "not found")
		return
	}
	var o struct {
		Inputs json.RawMessage `json:"inputs"`
		By     string          `json:"by"`
		Why    string          `json:"why"`
	}
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	inputs := map[string]any{}
	if len(o.Inputs) > 0 {
		v, err := workflows.DecodeJSON(o.Inputs)
		m, isMap := v.(map[string]any)
		if err != nil || !isMap {
			problem(w, http.StatusBadRequest, "inputs is an object")
			return
		}
		inputs = m
	}
	receipt, err := c.o.Operator.Fire(r.Context(), id, inputs, o.By, o.Why)
	if err != nil {
		c.conflict(w, err)
		return
	}
	reply(w, http.StatusAccepted, map[string]string{"status": "accepted", "event": receipt.Event.String()})
}

func (c *Console) listTriggers(w http.ResponseWriter, r *http.Request) {
	type item struct {
		Name     string   `json:"name"`
		Path     string   `json:"path,omitempty"`
		Provider string   `json:"provider,omitempty"`
		Methods  []string `json:"methods,omitempty"`
		// Secrets are named, with their use; their values are not here.
		Secrets []engine.SecretState `json:"secrets,omitempty"`
		// Inlets are its polls, with how they stand.
		Inlets []engine.InletHealth `json:"inlets,omitempty"`
	}
	p := page[item]{Items: []item{}}
	uses, err := c.o.Log.SecretUses(r.Context())
	if err != nil {
		c.fail(w, err)
		return
	}
	project := c.o.Project()
	for _, name := range sortedNames(project.Triggers) {
		t := project.Triggers[name]
		i := item{Name: name}
		if t.Webhook != nil {
			i.Path, i.Provider, i.Methods = t.Webhook.Path, t.Webhook.Provider, t.Webhook.Methods
			i.Secrets = engine.SecretStates(name, t.Webhook.SecretLabels(), uses, time.Now())
		}
		for _, inlet := range t.Polled() {
			st, err := c.o.Log.InletState(r.Context(), name, inlet)
			if err != nil {
				c.fail(w, err)
				return
			}
			i.Inlets = append(i.Inlets, st.Health(inlet))
		}
		p.Items = append(p.Items, i)
	}
	reply(w, http.StatusOK, p)
}

func (c *Console) listWorkflows(w http.ResponseWriter, r *http.Request) {
	type item struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		Description string `json:"description,omitempty"`
		File        string `json:"file"`
		Version     string `json:"version"`
		Enabled     bool   `json:"enabled"`
	}
	p := page[item]{Items: []item{}}
	project := c.o.Project()
	for _, id := range sortedNames(project.Workflows) {
		f := project.Workflows[id]
		p.Items = append(p.Items, item{f.ID, f.Name, f.Description, f.File, f.Version, f.Enabled})
	}
	reply(w, http.StatusOK, p)
}
