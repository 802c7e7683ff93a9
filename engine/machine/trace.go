package machine

import (
	"context"

	"github.com/hookloom/hookloom/engine"
)

// traced puts the traceparent of an attempt into its context.
func (ex *execution) traced(ctx context.Context, path string, attempt int) context.Context {
	_, sent := ex.event.Headers["traceparent"]
	if !sent && (ex.e.o.Watch == nil || !ex.e.o.Watch.Traces()) {
		return ctx
	}
	return engine.WithTraceparent(ctx, engine.TraceOf(ex.event.ID, ex.event.Headers).Header(engine.AttemptSpan(ex.run.ID, path, attempt)))
}
