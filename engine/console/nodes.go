package console

import (
	"context"
	"errors"
	"net/http"

	"github.com/hookloom/hookloom/engine"
)

// Nodes lists the nodes of the database, and asks one to drain. The store implements it.
type Nodes interface {
	Nodes(ctx context.Context) ([]engine.NodeItem, error)
	DrainNode(ctx context.Context, name string) error
}

func (c *Console) listNodes(w http.ResponseWriter, r *http.Request) {
	items, err := c.o.Nodes.Nodes(r.Context())
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, engine.Page[engine.NodeItem]{Items: items})
}

func (c *Console) drainNode(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	err := c.o.Nodes.DrainNode(r.Context(), name)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		problem(w, http.StatusNotFound, "no living node is named "+name)
	case err != nil:
		c.fail(w, err)
	default:
		reply(w, http.StatusAccepted, statusAnswer{Status: engine.NodeDraining})
	}
}

// severalNodes adds the nodes to the data of the overview, if there is more than one.
func (c *Console) severalNodes(ctx context.Context, data map[string]any) error {
	if c.o.Nodes == nil {
		return nil
	}
	list, err := c.o.Nodes.Nodes(ctx)
	if err == nil && len(list) > 1 {
		data["Nodes"] = list
	}
	return err
}
