package control

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// linkLife is the lifetime of a link whose question has no deadline.
const linkLife = 7 * 24 * time.Hour

// link is the content of a signed link: one question of one run, answered by one person, once. A
// link is valid for no other question.
type link struct {
	Run     string `json:"r"`
	Path    string `json:"p"`
	Attempt int    `json:"a"`
	By      string `json:"b"`
	Until   int64  `json:"u"` // Unix seconds
}

// Link returns a token with which a person without access to the console can answer a question of a
// run, once, under the given name.
func (ctl *Control) Link(ctx context.Context, id engine.RunID, path, by string) (token string, q plan.Question, err error) {
	questions, err := ctl.Questions(ctx, id)
	if err != nil {
		return "", q, err
	}
	verdict := "approve"
	for _, x := range questions {
		if x.Path == path && x.Kind == "review" {
			verdict = "resend"
		}
	}
	if q, err = choose(questions, engine.Response{Path: path, Verdict: verdict, By: by, Proof: "link"}); err != nil {
		return "", q, fmt.Errorf("run %s: %w", id, err)
	}
	until := q.Until
	if until.IsZero() {
		until = time.Now().Add(linkLife)
	}
	b, err := json.Marshal(link{Run: id.String(), Path: q.Path, Attempt: q.Attempt, By: by, Until: until.Unix()})
	if err != nil {
		return "", q, fmt.Errorf("making a link for run %s: %w", id, err)
	}
	text := base64.RawURLEncoding.EncodeToString(b)
	mac, err := ctl.linkMAC(text)
	if err != nil {
		return "", q, fmt.Errorf("signing a link for run %s: %w", id, err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(mac), q, nil
}

// linkMAC also covers the installation's id: a key may be used by several.
func (ctl *Control) linkMAC(text string) ([]byte, error) {
	if ctl.o.LinkKey == nil {
		return nil, errors.New("there is no key to sign links")
	}
	key, err := ctl.o.LinkKey()
	if err != nil {
		return nil, err
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte("approval link " + ctl.o.Store.Instance() + " " + text))
	return m.Sum(nil), nil
}

// openLink verifies a token before it reads its content.
func (ctl *Control) openLink(token string) (id engine.RunID, l link, err error) {
	text, mac, _ := strings.Cut(token, ".")
	given, err := base64.RawURLEncoding.Strict().DecodeString(mac)
	if err != nil {
		return 0, l, engine.ErrLink
	}
	if want, err := ctl.linkMAC(text); err != nil || !hmac.Equal(given, want) {
		return 0, l, engine.ErrLink
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(b, &l) != nil || time.Now().Unix() > l.Until {
		return 0, l, engine.ErrLink
	}
	if id, err = engine.ParseRunID(l.Run); err != nil {
		return 0, l, engine.ErrLink
	}
	return id, l, nil
}

// LinkQuestion returns the question of a link, while it is open.
func (ctl *Control) LinkQuestion(ctx context.Context, token string) (plan.Question, error) {
	id, l, err := ctl.openLink(token)
	if err != nil {
		return plan.Question{}, err
	}
	return ctl.questionOf(ctx, id, l)
}

// questionOf is the question of a link, while it is open.
func (ctl *Control) questionOf(ctx context.Context, id engine.RunID, l link) (plan.Question, error) {
	questions, err := ctl.Questions(ctx, id)
	if err != nil {
		return plan.Question{}, errors.Join(engine.ErrLink, err)
	}
	for _, q := range questions {
		if q.Path == l.Path && q.Attempt == l.Attempt {
			return q, nil
		}
	}
	return plan.Question{}, engine.ErrLink
}

// AnswerLink answers the question of a link. It returns who answered which step of which run, even
// if the answer was not accepted.
func (ctl *Control) AnswerLink(ctx context.Context, token, verdict, comment string) (engine.Answer, error) {
	id, l, err := ctl.openLink(token)
	if err != nil {
		return engine.Answer{}, err
	}
	if _, err := ctl.questionOf(ctx, id, l); err != nil {
		return engine.Answer{}, err
	}
	_, err = ctl.Answer(ctx, id, engine.Response{Path: l.Path, Verdict: verdict, By: l.By, Proof: "link", Comment: comment})
	return engine.Answer{Run: id, Path: l.Path, By: l.By, Comment: comment}, err
}
