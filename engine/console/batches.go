package console

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file handles the pages that replay stored events, and prevents a form from acting twice: a
// form that acts responds with a redirect (RFC 9110, 15.4.4), so reloading the page does nothing.

func (c *Console) againPages(mux *http.ServeMux) {
	for path, h := range map[string]http.HandlerFunc{
		"GET /batches": c.batchesPage, "GET /batches/{id}": c.batchPage, "GET /replays": c.replaysPage, "GET /shown/{key}": c.shownPage,
		"POST /replays":             c.acting("batch.start", c.doReplays),
		"POST /batches/{id}/pause":  c.acting("batch.pause", c.doChangeBatch(engine.BatchPaused)),
		"POST /batches/{id}/resume": c.acting("batch.resume", c.doChangeBatch(engine.BatchRunning)),
		"POST /batches/{id}/cancel": c.acting("batch.cancel", c.doChangeBatch(engine.BatchCancelled)),
	} {
		mux.HandleFunc(path, h)
	}
}

func (c *Console) batchesPage(w http.ResponseWriter, r *http.Request) {
	items, err := c.o.Operator.Batches(r.Context())
	if err != nil {
		c.showError(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "batches", map[string]any{"Title": "Batches", "Items": items[:min(len(items), 200)]})
}

func (c *Console) batchPage(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseBatchID)
	if !ok {
		return
	}
	b, err := c.o.Operator.Batch(r.Context(), id)
	if err != nil {
		c.showError(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "batch", map[string]any{"Title": "Batch", "B": b})
}

// replaysForm parses the form of a batch.
func replaysForm(v url.Values, by string) (replaysOrder, error) {
	o := replaysOrder{Trigger: v.Get("trigger"), Workflow: v.Get("workflow"), Since: strings.TrimSpace(v.Get("since")),
		Until: strings.TrimSpace(v.Get("until")), Again: v.Get("again") != "",
		SkipDone: v.Get("skip_done") != "", By: by, Rate: engine.DefaultRate}
	if s := v.Get("status"); s != "" {
		o.Status = strings.Split(s, ",")
	}
	if s := v.Get("rate"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return o, errors.New("runs per second must be at least 1")
		}
		o.Rate = n
	}
	return o, nil
}

// replaysPage shows what a batch would do.
func (c *Console) replaysPage(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	o, err := replaysForm(v, "")
	p := c.o.Project()
	data := map[string]any{"Title": "Decide events again", "O": o, "Status": strings.Join(o.Status, ","),
		"Triggers": sortedNames(p.Triggers), "Workflows": sortedNames(p.Workflows),
		"Statuses": slices.Clone(engine.Outcomes[1:]), "Once": nonce()}
	if len(o.Status) > 1 {
		data["Statuses"] = append(data["Statuses"].([]string), strings.Join(o.Status, ","))
	}
	if err == nil && (o.Since != "" || o.Trigger != "" || o.Workflow != "") {
		var s engine.Selection
		if s, err = o.selection(time.Now()); err == nil {
			data["Plan"], err = c.planReplays(r.Context(), s, callerOf(r).operates(), usualPlan)
		}
	}
	status := http.StatusOK
	if err != nil {
		delete(data, "Plan")
		data["Problem"], status = err.Error(), http.StatusBadRequest
	}
	c.render(w, r, status, "replays", data)
}

// doReplays starts a batch, once for each time the form was shown.
func (c *Console) doReplays(w http.ResponseWriter, r *http.Request) {
	o, err := replaysForm(r.PostForm, callerOf(r).Name)
	var s engine.Selection
	if err == nil {
		s, err = o.selection(time.Now())
	}
	if err != nil {
		c.errorPage(w, r, http.StatusBadRequest, err.Error())
		return
	}
	id, err := c.forms.once(r.PostForm.Get("once"), func() (string, error) {
		b, err := c.o.Operator.StartBatch(r.Context(), s, o.Rate, o.By)
		if err != nil {
			return "", err
		}
		return b.ID, nil
	})
	if err != nil {
		c.actionFailed(w, r, err)
		return
	}
	setTarget(r, id, "")
	redirectDone(w, r, "/batches/"+id, "started")
}

func (c *Console) doChangeBatch(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, ok := named(c, w, r, engine.ParseBatchID)
		if !ok {
			return
		}
		if _, err := c.o.Operator.ChangeBatch(r.Context(), id, to); err != nil {
			c.actionFailed(w, r, err)
			return
		}
		redirectDone(w, r, "/batches/"+id.String(), "batch")
	}
}

func nonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// maxForms is the number of forms, and of responses, that are remembered.
const maxForms = 1000

// forms remembers the results of forms, by the token in each form, and the data for the page to
// which a form redirects.
type forms struct {
	mu    sync.Mutex
	made  map[string]string
	pages map[string]shownPage
	order []string
}

type shownPage struct {
	name string
	data []byte
}

// once executes a form, or returns its earlier result. A form without a token executes each time.
func (f *forms) once(word string, do func() (string, error)) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if made, known := f.made[word]; known && word != "" {
		return made, nil
	}
	made, err := do()
	if err == nil && word != "" {
		f.remember(word)
		f.made[word] = made
	}
	return made, err
}

// remember makes room for a token. The caller holds the lock.
func (f *forms) remember(word string) {
	if f.made == nil {
		f.made, f.pages = map[string]string{}, map[string]shownPage{}
	}
	f.order = append(f.order, word)
	if len(f.order) > maxForms {
		delete(f.made, f.order[0])
		delete(f.pages, f.order[0])
		f.order = f.order[1:]
	}
}

// put keeps data for a page.
func (f *forms) put(name string, data map[string]any) (key string, err error) {
	b, err := json.Marshal(data)
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key = nonce()
	f.remember(key)
	f.pages[key] = shownPage{name, b}
	return key, nil
}

func (f *forms) get(key string) (shownPage, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.pages[key]
	return p, ok
}

// shown redirects to a page that reports what was done.
func (c *Console) shown(w http.ResponseWriter, r *http.Request, name string, data map[string]any) {
	key, err := c.forms.put(name, data)
	if err != nil {
		c.showError(w, r, err)
		return
	}
	http.Redirect(w, r, "/shown/"+key, http.StatusSeeOther)
}

// keep redirects to a page that shows additional data.
func (c *Console) keep(w http.ResponseWriter, r *http.Request, path string, data map[string]any) {
	key, err := c.forms.put("", data)
	if err != nil {
		c.showError(w, r, err)
		return
	}
	http.Redirect(w, r, path+"&shown="+key, http.StatusSeeOther)
}

// savedForm returns the data that a form kept for the page to which it redirected.
func (c *Console) savedForm(r *http.Request) map[string]any {
	data := map[string]any{}
	if p, ok := c.forms.get(r.URL.Query().Get("shown")); ok && p.name == "" {
		_ = json.Unmarshal(p.data, &data) // it was encoded here
	}
	return data
}

func (c *Console) shownPage(w http.ResponseWriter, r *http.Request) {
	p, ok := c.forms.get(r.PathValue("key"))
	if !ok || cmp.Or(p.name, "-") == "-" {
		c.errorPage(w, r, http.StatusNotFound, "This result is no longer available; the audit log has it.")
		return
	}
	data := map[string]any{}
	if err := json.Unmarshal(p.data, &data); err != nil {
		c.showError(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, p.name, data)
}

// selection parses the selection of events.
func (o replaysOrder) selection(now time.Time) (s engine.Selection, err error) {
	s = engine.Selection{Trigger: o.Trigger, Workflow: o.Workflow, Statuses: o.Status, Again: o.Again, SkipDone: o.SkipDone}
	if o.Since != "" {
		if s.Since, err = Since(o.Since, now); err != nil {
			return s, err
		}
	}
	if o.Until != "" {
		if s.Until, err = Since(o.Until, now); err != nil {
			return s, errors.New(strings.Replace(err.Error(), "since", "until", 1))
		}
	}
	s.Since, s.Until = s.Since.UTC(), s.Until.UTC()
	if o.Since == "" {
		s.Since = time.Time{}
	}
	if o.Until == "" {
		s.Until = time.Time{}
	}
	return s, nil
}
