package console

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// ApprovePath is the path of signed links, on the hooks address: a recipient may have no access to
// the console.
const ApprovePath = "/approve/"

// Linked answers questions through signed links. The engine implements it.
type Linked interface {
	LinkQuestion(ctx context.Context, token string) (plan.Question, error)
	AnswerLink(ctx context.Context, token, verdict, comment string) (engine.Answer, error)
	Audit(ctx context.Context, a engine.AuditEntry) error
}

// Approvals serves the page of a signed link. A GET only shows the question, since mail programs
// fetch links to preview them; a POST answers it.
func Approvals(e Linked, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.URL.Path, ApprovePath)
		page := map[string]any{"Title": "Approval"}
		status := http.StatusOK
		q, err := e.LinkQuestion(r.Context(), token)
		switch {
		case err != nil:
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			page["Question"], page["Review"] = q.Text, q.Kind == "review"
		case r.Method == http.MethodPost:
			r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
			if err = r.ParseForm(); err == nil {
				verdict := r.PostForm.Get("verdict")
				var a engine.Answer
				if a, err = e.AnswerLink(r.Context(), token, verdict, r.PostForm.Get("comment")); err == nil {
					page["Question"], page["Said"] = q.Text, verdict
					auditLink(r, e, log, a, verdict)
				}
			}
		default:
			w.Header().Set("Allow", "GET, HEAD, POST")
			status = http.StatusMethodNotAllowed
		}
		if err != nil {
			page["Problem"] = engine.ErrLink.Error() + ": it was used or has expired."
			status = http.StatusGone
			if !errors.Is(err, engine.ErrLink) && !errors.Is(err, engine.ErrStale) {
				log.Warn("an answer by link was not accepted", "error", err)
			}
		}
		var b bytes.Buffer
		t, err := byZone.get(time.UTC)
		if err == nil {
			err = t.ExecuteTemplate(&b, "approve.html", page)
		}
		if err != nil {
			log.Error("the page of a link cannot be rendered", "error", err)
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		pageHeaders(w.Header())
		w.WriteHeader(status)
		_, _ = w.Write(b.Bytes()) // on failure the client has disconnected
	})
}

// auditLink records that a question was answered by a link: the link identifies the person.
func auditLink(r *http.Request, e Linked, log *slog.Logger, a engine.Answer, verdict string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	remote := r.RemoteAddr
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		remote = ap.Addr().Unmap().String()
	}
	entry := engine.AuditEntry{At: time.Now().UTC(), Who: a.By, Proof: "link", Remote: remote, Action: "run.answer",
		Target: a.Run.String(), Detail: auditDetail("step", a.Path, "verdict", verdict, "comment", a.Comment), Status: http.StatusOK}
	if err := e.Audit(ctx, entry); err != nil {
		log.Error("an answer by link is missing in the audit log", "run", a.Run, "error", err)
	}
}
