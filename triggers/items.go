package triggers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
)

// take returns the items of a page; count includes duplicate items. It is an error if the answer
// has content but the expressions return nothing: such a poll would never find anything.
func (p *poller) take(resp map[string]any, cursor any) (rows []row, count int, err error) {
	names := expr.Names{"response": resp, "cursor": cursor}
	var list any = resp["body"]
	if p.poll.Items != nil {
		if list, err = p.poll.Items.Eval(&expr.Env{Names: names, Now: p.now()}); err != nil {
			return nil, 0, fmt.Errorf("items: %w", err)
		}
	}
	items, ok := list.([]any)
	if !ok && list != nil {
		return nil, 0, errors.New("items is not a list; " + lists(resp["body"]))
	}
	if list == nil {
		return nil, 0, p.noItems(resp)
	}
	names["items"] = items
	unnamed, still := 0, 0
	for i, item := range items {
		r, err := p.row(names, item)
		if err != nil {
			return nil, 0, fmt.Errorf("item %d: %w", i, err)
		}
		if len(p.poll.Key) > 0 && r.delivery.Flag != "" {
			unnamed++
		}
		if p.poll.PerItem && r.cursor == nil {
			still++
		}
		rows = append(rows, r)
	}
	switch {
	case len(items) == 0:
	case unnamed == len(items):
		return nil, 0, fmt.Errorf("key: %s is empty for all of %d items; %s", p.poll.Key[0].Text, len(items), fields(items[0]))
	case still == len(items):
		return nil, 0, fmt.Errorf("cursor: %s is empty for all of %d items; %s", p.poll.Cursor.Text, len(items), fields(items[0]))
	}
	return rows, len(items), nil
}

// noItems handles an answer without the list that items: names. It is nil for an empty
// answer and for a list that is null.
func (p *poller) noItems(resp map[string]any) error {
	body := resp["body"]
	if m, ok := body.(map[string]any); body == nil || body == "" || ok && len(m) == 0 {
		return nil
	}
	if p.poll.Items == nil || isNull(resp, p.poll.Items.Text) {
		return nil
	}
	return fmt.Errorf("items: %s is nil; %s", p.poll.Items.Text, lists(body))
}

// isNull reports whether a path such as response.body.orders exists and is null.
func isNull(resp map[string]any, path string) bool {
	var at any = map[string]any{"response": resp}
	for _, name := range strings.Split(strings.ReplaceAll(path, "?.", "."), ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return false
		}
		if at, ok = m[name]; !ok {
			return false
		}
	}
	return at == nil
}

// lists describes the fields of an answer, lists first.
func lists(body any) string {
	m, ok := body.(map[string]any)
	if !ok {
		switch body.(type) {
		case []any:
			return "the response is itself a list: response.body"
		case string:
			return "the response is not JSON"
		}
		return "name the list inside the response, such as response.body.data"
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if _, ok := m[name].([]any); ok {
			return fmt.Sprintf("write response.body.%s; response.body has %s", name, namesOf(m))
		}
	}
	return "response.body has " + namesOf(m)
}

// fields describes the fields of an item.
func fields(item any) string {
	m, ok := item.(map[string]any)
	if !ok {
		return "an item is not an object"
	}
	return "item has " + namesOf(m)
}

// maxNames is the number of names that a message lists.
const maxNames = 20

func namesOf(m map[string]any) string {
	names := slices.Sorted(maps.Keys(m))
	for i, n := range names {
		names[i] = clip(n, 40)
	}
	if more := len(names) - maxNames; more > 0 {
		return strings.Join(names[:maxNames], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}
