package store

import (
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file commits batches on PostgreSQL. A lost connection is no fault of the batch: it is executed
// again when the database is back. Where the connection was lost in a commit, the node's row says
// whether the commit took place (postgresqlnode.go).

// maxConflicts is how often a transaction is executed again that conflicted with another.
const maxRetries = 10

// postgresTransaction executes a batch as one transaction, until its outcome is known.
func (w *writer) postgresTransaction(batch []*command) error {
	began := time.Now()
	for tries, losses, careful := 0, 0, false; ; {
		sent, err := w.attempt(batch, careful)
		switch {
		case err == nil:
			w.present()
			w.pg.took, w.pg.wrote = time.Since(began), len(batch)
			return nil
		case errors.Is(err, errFenced):
			w.fatal(err)
			return err
		case sent:
			return w.resolve(batch, err)
		case errors.As(err, new(weakError)):
			w.pg.disconnect() // a new session has the settings of the role
			w.absent(err)
			return w.away.Load() // nothing was stored
		case conflicted(err) && tries < maxRetries:
			tries++
			continue
		case errors.Is(err, errTurn):
			return err
		case len(batch) == 1 && !careful && !w.pg.lost(err):
			careful = true // an assumption may be wrong; the command now finds out itself
			continue
		case !w.pg.lost(err):
			if err = w.severity(err); errors.Is(err, engine.ErrFull) {
				w.pg.full.Store(int64(time.Since(started)))
			}
			w.refused(batch, err)
			return err
		}
		w.pg.disconnect()
		w.absent(err)
		if losses++; losses > 1 {
			w.pause() // it takes connections, but no transactions
		}
		for first := true; first || w.pg.conn == nil; first = false {
			if time.Since(began) > patience || w.stopping() {
				return w.away.Load() // nothing was stored
			}
			w.reconnect()
		}
	}
}

// A transaction has a fixed cost: an event took 28 µs of the server in batches of 58 and 22 µs in batches of 110
// (docs/benchmarks.md). So under load a batch waits for more commands, for a third of the time that the last transaction
// took and moreTime at most. After a batch of less than fewCommands there is little load, and waiting would only delay
// the answers.
const (
	moreTime    = 2 * time.Millisecond
	fewCommands = 16
)

// awaitMore waits for more commands.
func (w *writer) awaitMore(sleep func(time.Duration)) {
	if w.pg.wrote >= fewCommands && len(w.queue) < maxBatch {
		sleep(min(w.pg.took/3, moreTime))
	}
}

// fullTime is how long the server's disk counts as full after a write that found no space. Only rows that
// need more space fail, so a later commit does not show that there is some again.
const fullTime = 5 * time.Second

// noSpace reports whether the server's disk is full; it is not asked.
func (p *postgresql) noSpace() bool {
	at := p.full.Load()
	return at != 0 && time.Since(started)-time.Duration(at) < fullTime
}

// attempt executes a batch once. sent reports whether the commit was sent, so that err does not tell
// its outcome.
func (w *writer) attempt(batch []*command, careful bool) (sent bool, err error) {
	t := &tx{w: w, careful: careful}
	w.feed.changes, w.signal = w.feed.changes[:0], 0
	if err := w.pg.begin(); err != nil {
		return false, err
	}
	if !careful {
		err = w.pg.askAhead(batch)
	}
	for i := 0; i < len(batch) && err == nil; i++ {
		err = batch[i].apply(t)
	}
	if err == nil {
		err = t.writeDead()
	}
	if err == nil {
		err = t.writeFeed()
	}
	if err == nil {
		err = w.faulty()
	}
	if err != nil {
		w.pg.rollback()
		return false, err
	}
	if sent, err = w.pg.commit(); err != nil {
		if !sent {
			w.pg.rollback()
		}
		return sent, err
	}
	w.publish(w.signal)
	return true, nil
}

// resolve finds out whether a commit took place whose answer was lost, and executes the batch again if
// it did not.
func (w *writer) resolve(batch []*command, cause error) error {
	signal := w.signal
	w.log.Warn("a commit was not answered: the database is asked whether it took place", "error", cause)
	w.pg.disconnect()
	w.absent(cause)
	for {
		if w.stopping() {
			return errors.Join(engine.ErrUnknown, cause)
		}
		if w.pg.conn == nil {
			w.reconnect()
			continue
		}
		done, err := w.pg.committed()
		if errors.Is(err, errFenced) {
			w.fatal(err)
			return errors.Join(engine.ErrUnknown, err)
		}
		if err != nil {
			w.pg.disconnect()
			if errors.As(err, new(weakError)) {
				w.absent(err)
			}
			w.pause()
			continue
		}
		w.present()
		if !done {
			return w.postgresTransaction(batch)
		}
		w.publish(signal)
		return nil
	}
}

// publish publishes what was committed, here and to the other nodes.
func (w *writer) publish(signal engine.Signal) {
	if signal != 0 {
		w.signals.Publish(signal)
		w.pg.link.hint(signal)
	}
}

// stopping reports whether the store is being closed.
func (w *writer) stopping() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

// absent records that the database is away: accepting is refused at once.
func (w *writer) absent(cause error) {
	if w.away.Swap(&AwayError{Path: w.path, Cause: cause}) != nil {
		return
	}
	text := "the database is away: deliveries are answered 503 and runs wait until it is back"
	if errors.As(cause, new(weakError)) {
		text = "a commit is worth less than an answer 2xx promises: deliveries are answered 503 and runs wait until the setting is changed"
	}
	w.log.Error(text, "database", w.path, "error", cause)
}

// present ends what absent began.
func (w *writer) present() {
	if w.away.Load() != nil && w.away.Swap(nil) != nil {
		w.log.Info("the database is back: deliveries are stored", "database", w.path)
	}
}

// reconnect tries once to connect; it pauses if that fails.
func (w *writer) reconnect() {
	err := w.pg.connect(w.pg.ctx)
	if err == nil {
		return
	}
	w.absent(err)
	w.pause()
}

// pause waits before the next attempt to use the database.
func (w *writer) pause() {
	select {
	case <-w.stop:
	case <-time.After(reconnectEvery):
	}
}

// tick checks the database and this node's row, and reconnects, when nothing else is to be done.
func (w *writer) tick() {
	p := w.pg
	if w.err() != nil {
		return
	}
	if p.conn == nil || p.conn.IsClosed() {
		p.disconnect()
		if err := p.connect(p.ctx); err != nil {
			w.absent(err)
			return
		}
	}
	if time.Since(p.checked) < checkEvery && w.away.Load() == nil {
		return
	}
	switch err := p.check(); {
	case errors.Is(err, errFenced):
		w.fatal(err)
	case err != nil:
		p.disconnect()
		w.absent(err)
	default:
		w.present()
		w.askRights()
	}
}

// closePostgres is close for PostgreSQL.
func (w *writer) closePostgres() error {
	close(w.stop)
	<-w.ended
	close(w.pg.link.stop)
	<-w.pg.link.ended
	return w.pg.leave()
}
