package cmd

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/hookloom/hookloom/engine"
	"golang.org/x/term"
)

// newLog creates the log of a server. By default the format is text on a terminal and otherwise
// JSON.
func newLog(w io.Writer, format string, level slog.Level) (*slog.Logger, error) {
	if format == "" {
		format = "json"
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			format = "text"
		}
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch v := a.Value.Any().(type) { // in JSON they would be numbers
		case time.Duration:
			a.Value = slog.StringValue(v.String())
		case engine.EventID:
			a.Value = slog.StringValue(v.String())
		case engine.BatchID:
			a.Value = slog.StringValue(v.String())
		case engine.RunID:
			a.Value = slog.StringValue(v.String())
		}
		return a
	}}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usageError("--log-format is text or json, not %q", format)
}
