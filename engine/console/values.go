package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file shows the values that steps store (store/set and others), and lets people change them.

// Request bodies.
type (
	setValueOrder struct {
		// Workflow is empty for values of the project.
		Workflow string          `json:"workflow,omitempty"`
		Key      string          `json:"key"`
		Value    json.RawMessage `json:"value"`
		// TTL is how long it is kept, such as 1h; by default until it is deleted.
		TTL string `json:"ttl,omitempty"`
		// Expect is the current value required for the change, null for none.
		Expect json.RawMessage `json:"expect,omitempty"`
		By     string          `json:"by,omitempty"`
	}
	deleteValueOrder struct {
		Workflow string `json:"workflow,omitempty"`
		Key      string `json:"key"`
		By       string `json:"by,omitempty"`
	}
)

// valuesAPI lists the calls of this part.
func (c *Console) valuesAPI(get getRoute, post postRoute) []route {
	return []route{
		get("store", "listValues", "Stored values, by workflow and key; the project's values come first.",
			[]string{"workflow", "scope", "q", "limit", "after"}, engine.Page[engine.ValueItem]{}, c.listValues),
		get("store/value", "getValue", "One stored value.", []string{"workflow", "key"}, engine.ValueItem{}, c.oneValue),
		post("store", "setValue", "Stores a value under a key.", "store.set", 200, setValueOrder{}, engine.ValueItem{}, c.setValue),
		post("store/delete", "deleteValue", "Deletes a key.", "store.delete", 200, deleteValueOrder{}, statusAnswer{}, c.deleteValue),
	}
}

func (c *Console) valuesPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /store", c.valuesPage)
	mux.HandleFunc("POST /store", c.acting("store.set", c.doSetValue))
	mux.HandleFunc("POST /store/delete", c.acting("store.delete", c.doDeleteValue))
}

// valueQuery parses the filters of a list.
func valueQuery(v url.Values) (engine.ValueQuery, error) {
	q := engine.ValueQuery{Workflow: v.Get("workflow"), Q: v.Get("q"), Limit: 50, Now: time.Now()}
	switch scope := v.Get("scope"); scope {
	case "", "workflow":
	case "project":
		q.Project = true
	default:
		return q, errors.New("scope must be workflow or project")
	}
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1000 {
			return q, errors.New("limit must be 1 to 1000")
		}
		q.Limit = n
	}
	var err error
	q.After, err = engine.ParseValueToken(v.Get("after"))
	return q, err
}

// values reads a page of the list.
func (c *Console) values(r *http.Request) (page engine.Page[engine.ValueItem], err error) {
	q, err := valueQuery(r.URL.Query())
	if err != nil {
		return page, err
	}
	limit := q.Limit
	q.Limit++
	page.Items, err = c.o.Log.Values(r.Context(), q)
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		last := page.Items[limit-1]
		page.Next = engine.ValueRef{Workflow: last.Workflow, Key: last.Key}.Token()
	}
	return page, err
}

func (c *Console) listValues(w http.ResponseWriter, r *http.Request) {
	page, err := c.values(r)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if page.Items == nil {
		page.Items = []engine.ValueItem{}
	}
	reply(w, http.StatusOK, page)
}

func (c *Console) oneValue(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	item, err := c.o.Log.Value(r.Context(), engine.ValueRef{Workflow: v.Get("workflow"), Key: v.Get("key")}, time.Now())
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, item)
}

// change validates a request.
func (o setValueOrder) change() (c engine.ValueChange, err error) {
	c.Workflow, c.Key = o.Workflow, o.Key
	for raw, to := range map[*json.RawMessage]*string{&o.Value: &c.Value, &o.Expect: &c.Expect} {
		if len(*raw) == 0 {
			continue
		}
		v, err := value.DecodeJSON(*raw)
		if err != nil {
			return c, err
		}
		b, err := value.EncodeJSON(v)
		if err != nil {
			return c, err
		}
		*to = string(b)
	}
	if c.Value == "" {
		return c, errors.New("value is missing; it may be any JSON")
	}
	if o.TTL != "" {
		if c.TTL, err = workflows.ParseDuration(o.TTL); err != nil || c.TTL <= 0 {
			return c, errors.New("ttl must be a positive duration, such as 1h")
		}
	}
	return c, nil
}

func (c *Console) setValue(w http.ResponseWriter, r *http.Request) {
	var o setValueOrder
	err := readOrder(r, &o)
	var change engine.ValueChange
	if err == nil {
		change, err = o.change()
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	change.By = authorOf(r, o.By)
	setTarget(r, valueName(o.Workflow, o.Key), "")
	item, err := c.o.Operator.SetValue(r.Context(), change)
	if err != nil {
		c.valueProblem(w, err)
		return
	}
	reply(w, http.StatusOK, item)
}

func (c *Console) deleteValue(w http.ResponseWriter, r *http.Request) {
	var o deleteValueOrder
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	setTarget(r, valueName(o.Workflow, o.Key), "")
	if err := c.o.Operator.DeleteValue(r.Context(),
		engine.ValueChange{ValueRef: engine.ValueRef{Workflow: o.Workflow, Key: o.Key}, By: authorOf(r, o.By)}); err != nil {
		c.valueProblem(w, err)
		return
	}
	reply(w, http.StatusOK, statusAnswer{Status: "deleted"})
}

// valueProblem responds with the reason why a value was not changed.
func (c *Console) valueProblem(w http.ResponseWriter, err error) {
	var e *plan.Error
	if errors.As(err, &e) && e.Code != "conflict" && e.Code != "store_full" {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	c.conflict(w, err)
}

// valueName returns a value's name in the audit log.
func valueName(workflow, key string) string {
	if workflow == "" {
		return key
	}
	return workflow + ": " + key
}

func (c *Console) valuesPage(w http.ResponseWriter, r *http.Request) {
	page, err := c.values(r)
	if err != nil {
		c.errorPage(w, r, http.StatusBadRequest, err.Error())
		return
	}
	v := r.URL.Query()
	next := ""
	if page.Next != "" {
		more := url.Values{"after": {page.Next}, "workflow": {v.Get("workflow")}, "scope": {v.Get("scope")}, "q": {v.Get("q")}}
		next = "/store?" + more.Encode()
	}
	c.render(w, r, http.StatusOK, "values", map[string]any{"Title": "Store", "Items": page.Items, "Next": next,
		"Workflow": v.Get("workflow"), "Q": v.Get("q"),
		"Workflows": sortedNames(c.o.Project().Workflows)})
}

func (c *Console) doSetValue(w http.ResponseWriter, r *http.Request) {
	f := r.PostForm
	o := setValueOrder{Workflow: f.Get("workflow"), Key: f.Get("key"), TTL: strings.TrimSpace(f.Get("ttl")),
		Value: json.RawMessage(f.Get("value"))}
	if !json.Valid(o.Value) { // a plain word that a person enters is a text
		o.Value, _ = json.Marshal(f.Get("value"))
	}
	setTarget(r, valueName(o.Workflow, o.Key), "")
	change, err := o.change()
	if err == nil {
		change.By = authorOf(r, "")
		_, err = c.o.Operator.SetValue(r.Context(), change)
	}
	if err != nil {
		c.actionFailed(w, r, err)
		return
	}
	redirectDone(w, r, "/store?q="+url.QueryEscape(o.Key), "kept")
}

func (c *Console) doDeleteValue(w http.ResponseWriter, r *http.Request) {
	f := r.PostForm
	setTarget(r, valueName(f.Get("workflow"), f.Get("key")), "")
	if err := c.o.Operator.DeleteValue(r.Context(),
		engine.ValueChange{ValueRef: engine.ValueRef{Workflow: f.Get("workflow"), Key: f.Get("key")}, By: authorOf(r, "")}); err != nil {
		c.actionFailed(w, r, err)
		return
	}
	redirectDone(w, r, "/store", "removed")
}
