package workflows

import (
	"fmt"
	"net/textproto"
	"slices"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/value"
)

// ReservedHeaders are set by the HTTP client: a template that sets them could smuggle a second
// request.
var ReservedHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer", "Keep-Alive",
	"Proxy-Connection"}

// ownHeaders reports headers that a request cannot set.
func (r *outgoing) ownHeaders() {
	for _, f := range r.with.Field("headers").fields() {
		if slices.Contains(ReservedHeaders, textproto.CanonicalMIMEHeaderKey(f.name)) {
			r.src.add(f.value.keyPos(r.src, f.name), "unknown-key",
				fmt.Sprintf("header %s is set by the HTTP client and cannot be overridden", value.Clip(f.name, 40)), "remove it")
		}
	}
}

var (
	acceptedStatus = lazyregexp.New(`^\s*[1-5]\d\d\s*(?:-\s*[1-5]\d\d\s*)?$`)
	statusClass    = lazyregexp.New(`^([1-5])[xX*]{2}$`)
)

// acceptInput checks the statuses of accept:.
func (s *stepChecker) acceptInput(st *Step) {
	v := st.With.Field("accept")
	x, constant := v.IsConstant()
	if v == nil || !constant {
		return
	}
	list, ok := x.([]any)
	if !ok {
		list = []any{x}
	}
	for _, e := range list {
		text := value.Shown(e)
		if acceptedStatus.MatchString(text) {
			continue
		}
		hint := "write 200, 404 or 200-299"
		if m := statusClass.FindStringSubmatch(text); m != nil {
			hint = fmt.Sprintf("write %s00-%s99", m[1], m[1])
		}
		s.w.src.add(v.pos, "out-of-range", fmt.Sprintf("accept: %q is not an HTTP status", value.Clip(text, 40)), hint)
	}
}
