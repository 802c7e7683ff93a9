package console_test

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// failingHistory is a history of which one read fails. It records their names.
type failingHistory struct {
	engine.History
	reads []string
	// failing is the number of the read that fails with err, 0 for none.
	failing int
	err     error
}

func (b *failingHistory) read(name string) error {
	b.reads = append(b.reads, name)
	if len(b.reads) == b.failing {
		return b.err
	}
	return nil
}

func (b *failingHistory) Quarantine(ctx context.Context, x engine.Query) (r0 []engine.RefusalItem, err error) {
	if err = b.read("Quarantine"); err != nil {
		return r0, err
	}
	return b.History.Quarantine(ctx, x)
}

func (b *failingHistory) Refusal(ctx context.Context, id string) (r0 *engine.RefusalItem, r1 []byte, err error) {
	if err = b.read("Refusal"); err != nil {
		return r0, r1, err
	}
	return b.History.Refusal(ctx, id)
}

func (b *failingHistory) CountRefusals(ctx context.Context, x engine.Query, y *engine.Page[engine.RefusalItem]) error {
	if err := b.read("CountRefusals"); err != nil {
		return err
	}
	return b.History.CountRefusals(ctx, x, y)
}

func (b *failingHistory) RefusalGroups(ctx context.Context, x engine.Query) (r0 []engine.RefusalGroup, err error) {
	if err = b.read("RefusalGroups"); err != nil {
		return r0, err
	}
	return b.History.RefusalGroups(ctx, x)
}

func (b *failingHistory) AuditPage(ctx context.Context, x engine.Query) (r0 engine.Page[engine.AuditEntry], err error) {
	if err = b.read("AuditPage"); err != nil {
		return r0, err
	}
	return b.History.AuditPage(ctx, x)
}

func (b *failingHistory) CountAudit(ctx context.Context, x engine.Query, y *engine.Page[engine.AuditEntry]) error {
	if err := b.read("CountAudit"); err != nil {
		return err
	}
	return b.History.CountAudit(ctx, x, y)
}

func (b *failingHistory) Values(ctx context.Context, x engine.ValueQuery) (r0 []engine.ValueItem, err error) {
	if err = b.read("Values"); err != nil {
		return r0, err
	}
	return b.History.Values(ctx, x)
}

func (b *failingHistory) Value(ctx context.Context, ref engine.ValueRef, now time.Time) (r0 engine.ValueItem, err error) {
	if err = b.read("Value"); err != nil {
		return r0, err
	}
	return b.History.Value(ctx, ref, now)
}

func (b *failingHistory) EventPage(ctx context.Context, x engine.Query) (r0 engine.Page[engine.EventItem], err error) {
	if err = b.read("EventPage"); err != nil {
		return r0, err
	}
	return b.History.EventPage(ctx, x)
}

func (b *failingHistory) EventDetail(ctx context.Context, x engine.EventID) (r0 *engine.EventDetail, err error) {
	if err = b.read("EventDetail"); err != nil {
		return r0, err
	}
	return b.History.EventDetail(ctx, x)
}

func (b *failingHistory) CountEvents(ctx context.Context, x engine.Query, y *engine.Page[engine.EventItem]) error {
	if err := b.read("CountEvents"); err != nil {
		return err
	}
	return b.History.CountEvents(ctx, x, y)
}

func (b *failingHistory) HasName(ctx context.Context, workflow string, trigger string) (r0 bool, err error) {
	if err = b.read("HasName"); err != nil {
		return r0, err
	}
	return b.History.HasName(ctx, workflow, trigger)
}

func (b *failingHistory) Missed(ctx context.Context, workflow string) (r0 engine.Switched, err error) {
	if err = b.read("Missed"); err != nil {
		return r0, err
	}
	return b.History.Missed(ctx, workflow)
}

func (b *failingHistory) RunPage(ctx context.Context, x engine.Query) (r0 engine.Page[engine.RunItem], err error) {
	if err = b.read("RunPage"); err != nil {
		return r0, err
	}
	return b.History.RunPage(ctx, x)
}

func (b *failingHistory) RunOne(ctx context.Context, x engine.RunID) (r0 engine.RunItem, err error) {
	if err = b.read("RunOne"); err != nil {
		return r0, err
	}
	return b.History.RunOne(ctx, x)
}

func (b *failingHistory) RunDetail(ctx context.Context, x engine.RunID) (r0 *engine.RunDetail, err error) {
	if err = b.read("RunDetail"); err != nil {
		return r0, err
	}
	return b.History.RunDetail(ctx, x)
}

func (b *failingHistory) CountRuns(ctx context.Context, x engine.Query, y *engine.Page[engine.RunItem]) error {
	if err := b.read("CountRuns"); err != nil {
		return err
	}
	return b.History.CountRuns(ctx, x, y)
}

func (b *failingHistory) DeadLetters(ctx context.Context, x engine.Query) (r0 engine.Page[engine.DeadLetter], err error) {
	if err = b.read("DeadLetters"); err != nil {
		return r0, err
	}
	return b.History.DeadLetters(ctx, x)
}

func (b *failingHistory) DeadGroups(ctx context.Context, x engine.Query) (r0 []engine.DeadGroup, err error) {
	if err = b.read("DeadGroups"); err != nil {
		return r0, err
	}
	return b.History.DeadGroups(ctx, x)
}

func (b *failingHistory) CountDead(ctx context.Context, x engine.Query, y *engine.Page[engine.DeadLetter]) error {
	if err := b.read("CountDead"); err != nil {
		return err
	}
	return b.History.CountDead(ctx, x, y)
}

func (b *failingHistory) NeedsPeople(ctx context.Context) (r0 int, err error) {
	if err = b.read("NeedsPeople"); err != nil {
		return r0, err
	}
	return b.History.NeedsPeople(ctx)
}

func (b *failingHistory) InDoubt(ctx context.Context, runs []string) (r0 int, err error) {
	if err = b.read("InDoubt"); err != nil {
		return r0, err
	}
	return b.History.InDoubt(ctx, runs)
}

func (b *failingHistory) Versions(ctx context.Context, workflow string) (r0 []engine.VersionItem, err error) {
	if err = b.read("Versions"); err != nil {
		return r0, err
	}
	return b.History.Versions(ctx, workflow)
}

func (b *failingHistory) VersionText(ctx context.Context, version string) (r0 string, err error) {
	if err = b.read("VersionText"); err != nil {
		return r0, err
	}
	return b.History.VersionText(ctx, version)
}

func (b *failingHistory) FeedEnd(ctx context.Context) (r0 engine.Cursor, err error) {
	if err = b.read("FeedEnd"); err != nil {
		return r0, err
	}
	return b.History.FeedEnd(ctx)
}

func (b *failingHistory) Feed(ctx context.Context, after engine.Cursor, limit int) (r0 []engine.FeedChange, err error) {
	if err = b.read("Feed"); err != nil {
		return r0, err
	}
	return b.History.Feed(ctx, after, limit)
}

func (b *failingHistory) MissedChanges(ctx context.Context, since engine.Cursor) (r0 []engine.FeedChange, r1 engine.Cursor, err error) {
	if err = b.read("MissedChanges"); err != nil {
		return r0, r1, err
	}
	return b.History.MissedChanges(ctx, since)
}

func (b *failingHistory) FeedEvents(ctx context.Context, x []engine.EventID,
	y engine.Query) (r0 map[engine.EventID]engine.EventItem, err error) {
	if err = b.read("FeedEvents"); err != nil {
		return r0, err
	}
	return b.History.FeedEvents(ctx, x, y)
}

func (b *failingHistory) FeedRuns(ctx context.Context, ids []engine.RunID, runs engine.Query,
	events engine.Query) (r0 map[engine.RunID]engine.RunItem, err error) {
	if err = b.read("FeedRuns"); err != nil {
		return r0, err
	}
	return b.History.FeedRuns(ctx, ids, runs, events)
}

func (b *failingHistory) RunMark(ctx context.Context, x engine.RunID) (r0 string, err error) {
	if err = b.read("RunMark"); err != nil {
		return r0, err
	}
	return b.History.RunMark(ctx, x)
}

func (b *failingHistory) CurrentState(ctx context.Context) (r0 engine.CurrentState, err error) {
	if err = b.read("CurrentState"); err != nil {
		return r0, err
	}
	return b.History.CurrentState(ctx)
}

func (b *failingHistory) Activity(ctx context.Context, from time.Time, step time.Duration, n int) (r0 []engine.Bucket, err error) {
	if err = b.read("Activity"); err != nil {
		return r0, err
	}
	return b.History.Activity(ctx, from, step, n)
}

func (b *failingHistory) TriggerStats(ctx context.Context, trigger string, since time.Time) (r0 engine.TriggerStats, err error) {
	if err = b.read("TriggerStats"); err != nil {
		return r0, err
	}
	return b.History.TriggerStats(ctx, trigger, since)
}

func (b *failingHistory) WorkflowStats(ctx context.Context, since time.Time) (r0 map[string]engine.WorkflowStats, err error) {
	if err = b.read("WorkflowStats"); err != nil {
		return r0, err
	}
	return b.History.WorkflowStats(ctx, since)
}

func (b *failingHistory) LearnedGap(ctx context.Context, trigger string) (r0 time.Duration, err error) {
	if err = b.read("LearnedGap"); err != nil {
		return r0, err
	}
	return b.History.LearnedGap(ctx, trigger)
}

func (b *failingHistory) Sightings(ctx context.Context, trigger string, since time.Time) (r0 engine.Sightings, err error) {
	if err = b.read("Sightings"); err != nil {
		return r0, err
	}
	return b.History.Sightings(ctx, trigger, since)
}

func (b *failingHistory) InletState(ctx context.Context, trigger string, inlet string) (r0 engine.InletState, err error) {
	if err = b.read("InletState"); err != nil {
		return r0, err
	}
	return b.History.InletState(ctx, trigger, inlet)
}

func (b *failingHistory) SecretUses(ctx context.Context) (r0 []engine.SecretUse, err error) {
	if err = b.read("SecretUses"); err != nil {
		return r0, err
	}
	return b.History.SecretUses(ctx)
}

func (b *failingHistory) HasHost(ctx context.Context, host string) (r0 bool, err error) {
	if err = b.read("HasHost"); err != nil {
		return r0, err
	}
	return b.History.HasHost(ctx, host)
}

func (b *failingHistory) FailedHosts(ctx context.Context) (r0 []string, err error) {
	if err = b.read("FailedHosts"); err != nil {
		return r0, err
	}
	return b.History.FailedHosts(ctx)
}

func (b *failingHistory) HostTimes(ctx context.Context, host string) (r0 engine.HostTimes, err error) {
	if err = b.read("HostTimes"); err != nil {
		return r0, err
	}
	return b.History.HostTimes(ctx, host)
}
