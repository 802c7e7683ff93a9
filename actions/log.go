package actions

import (
	"context"
	"log/slog"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

var logSpec = workflows.ActionSpec{Name: "log", Help: "writes a line to the server's log", Inputs: []workflows.ActionInput{
	{Name: "message", Type: "string", Required: true, Help: "the line"},
	{Name: "level", Type: "string", Words: []string{"debug", "info", "warn", "error"}},
	{Name: "fields", Type: "object", Help: "further fields of the line, by name"},
}}

// logAction is log. It has no external effect, so its attempt need not be recorded before it
// starts.
type logAction struct {
	log    *slog.Logger
	redact func(string) string
}

// Do implements engine.Action.
func (a logAction) Do(ctx context.Context, in engine.Input) (any, error) {
	redact := a.redact
	if in.Redact != nil {
		redact = in.Redact
	}
	level := slog.LevelInfo
	if s, ok := in.With["level"].(string); ok {
		if strings.EqualFold(s, "warning") {
			s = "warn" // the name in other loggers, in case it comes from data
		}
		if err := level.UnmarshalText([]byte(s)); err != nil {
			return nil, plan.Permanent("invalid_input", "level %q is not known", s)
		}
	}
	attrs := []slog.Attr{slog.String("run", in.Run.String()), slog.String("step", in.Path)}
	if f, ok := in.With["fields"].(map[string]any); ok {
		b, err := value.EncodeJSON(value.Cut(f))
		if err != nil {
			return nil, plan.Permanent("invalid_input", "fields: %v", err)
		}
		attrs = append(attrs, slog.String("fields", redact(string(b))))
	}
	a.log.LogAttrs(ctx, level, redact(value.Shown(in.With["message"])), attrs...)
	return nil, nil
}
