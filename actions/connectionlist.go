package actions

import (
	"maps"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// ConnectionItems lists the project's connections with their state, by name.
func ConnectionItems(list map[string]Linked, states []engine.TokenState) []engine.ConnectionItem {
	known := map[string]engine.TokenState{}
	for _, t := range states {
		known[t.Connection] = t
	}
	out := []engine.ConnectionItem{}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		x, t := list[name], known[name]
		item := engine.ConnectionItem{Name: name, Connector: x.Connector, Kind: x.Auth.Kind(), Account: t.Account, Scopes: t.Scopes,
			Status:    "ready",
			LastError: t.LastError, ObtainedAt: at(t.ObtainedAt),
			ExpiresAt: at(t.ExpiresAt), LastUsedAt: at(t.UsedAt), LastErrorAt: at(t.ErrorAt)}
		person := false
		if x.Auth != nil && x.Auth.OAuth2 != nil {
			item.Grant = x.Auth.OAuth2.Grant
			person = item.Grant == "authorization_code" || item.Grant == "device_code"
			if len(item.Scopes) == 0 {
				item.Scopes = x.Auth.OAuth2.Scopes
			}
		}
		switch {
		case x.Broken != nil:
			item.Status, item.Why = "broken", x.Broken.Error()
		case person && t.ObtainedAt.IsZero():
			item.Status, item.Why = "not_connected", "run hookloom connect "+name
		case t.Held != "":
			item.Status, item.Why = "needs_person", t.Held
		}
		out = append(out, item)
	}
	return out
}

func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
