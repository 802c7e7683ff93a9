package console_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/plan"
)

type linked struct {
	said    []string
	audited []engine.AuditEntry
}

func (l *linked) LinkQuestion(_ context.Context, token string) (plan.Question, error) {
	if token != "good" {
		return plan.Question{}, engine.ErrLink
	}
	return plan.Question{Text: "Pay <script>alert(1)</script>?", Kind: "approval"}, nil
}

func (l *linked) AnswerLink(_ context.Context, _, verdict, comment string) (engine.Answer, error) {
	l.said = append(l.said, verdict+" "+comment)
	return engine.Answer{Run: 7, Path: "ok", By: "ada"}, nil
}

func (l *linked) Audit(_ context.Context, a engine.AuditEntry) error {
	l.audited = append(l.audited, a)
	return nil
}

// TestApprovalLinkIsAnsweredByPostOnly checks that fetching a link, as mail programs do, approves
// nothing, and that the question is shown as text.
func TestApprovalLinkIsAnsweredByPostOnly(t *testing.T) {
	l := &linked{}
	h := console.Approvals(l, slog.New(slog.DiscardHandler))
	ask := func(method, path string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") ||
			strings.Contains(w.Body.String(), "<script") || w.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s %s: %v %s", method, path, w.Header(), w.Body)
		}
		return w
	}
	if w := ask("GET", "/approve/good", nil); w.Code != http.StatusOK || len(l.said) != 0 ||
		!strings.Contains(w.Body.String(), `value="reject"`) {
		t.Errorf("%d %v %s", w.Code, l.said, w.Body)
	}
	if w := ask("GET", "/approve/bad", nil); w.Code != http.StatusGone {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask("PUT", "/approve/good", nil); w.Code != http.StatusMethodNotAllowed || len(l.said) != 0 {
		t.Errorf("%d", w.Code)
	}
	if w := ask("POST", "/approve/good", url.Values{"verdict": {"approve"}, "comment": {"fine"}}); w.Code != http.StatusOK ||
		len(l.said) != 1 || l.said[0] != "approve fine" {
		t.Errorf("%d %v %s", w.Code, l.said, w.Body)
	}
	if len(l.audited) != 1 || l.audited[0].Who != "ada" || l.audited[0].Proof != "link" ||
		l.audited[0].Target != "run_0000000000000007" || l.audited[0].Detail != "step=ok verdict=approve" {
		t.Errorf("in the audit log: %+v", l.audited)
	}
}
