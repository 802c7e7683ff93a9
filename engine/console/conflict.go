package console

import (
	"net/http"

	"github.com/hookloom/hookloom/engine"
)

// conflictID checks the id of a conflicting delivery.
func conflictID(s string) (string, error) {
	_, err := engine.ParseConflictID(s)
	return s, err
}

// admitConflict stores a conflicting delivery as a separate event.
func (c *Console) admitConflict(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, conflictID)
	if !ok {
		return
	}
	var order byOrder
	if err := readOrder(r, &order); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	receipt, err := c.o.Operator.AdmitConflict(r.Context(), id, authorOf(r, order.By))
	if err != nil {
		c.conflict(w, err)
		return
	}
	reply(w, http.StatusAccepted, statusAnswer{stored(receipt), receipt.Event.String()})
}

// doAdmitConflict is admitConflict for a form.
func (c *Console) doAdmitConflict(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, conflictID)
	if !ok {
		return
	}
	receipt, err := c.o.Operator.AdmitConflict(r.Context(), id, authorOf(r, ""))
	if err != nil {
		c.actionFailed(w, r, err)
		return
	}
	redirectDone(w, r, "/events/"+receipt.Event.String(), "admitted")
}
