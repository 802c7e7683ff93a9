package cmd

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// baseline is a simple way to store deliveries, for comparison: a table with a unique id, and one
// goroutine that commits waiting deliveries together.
type baseline struct {
	db    *sql.DB
	queue chan *baselineRow
	ended chan struct{}
}

type baselineRow struct {
	body []byte
	id   string
	done chan error
}

func newBaseline(dir string) (*baseline, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "rows.db")+"?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate&_mutex=no")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE TABLE deliveries (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL)`); err != nil {
		return nil, errors.Join(fmt.Errorf("making a table in %s: %w", dir, err), db.Close())
	}
	l := &baseline{db: db, queue: make(chan *baselineRow, 8192), ended: make(chan struct{})}
	go l.write()
	return l, nil
}

// insert returns when the delivery is on disk.
func (l *baseline) insert(body []byte, id string) error {
	r := &baselineRow{body: body, id: id, done: make(chan error, 1)}
	l.queue <- r
	return <-r.done
}

func (l *baseline) write() {
	defer close(l.ended)
	for first := range l.queue {
		batch := []*baselineRow{first}
		for waiting := true; waiting && len(batch) < 512; {
			select {
			case r, open := <-l.queue:
				if waiting = open; open {
					batch = append(batch, r)
				}
			default:
				waiting = false
			}
		}
		err := l.commit(batch)
		for _, r := range batch {
			r.done <- err
		}
	}
}

func (l *baseline) commit(batch []*baselineRow) error {
	tx, err := l.db.Begin()
	if err != nil {
		return err
	}
	insert, err := tx.Prepare(`INSERT INTO deliveries (id, body) VALUES (?, ?)`)
	for _, r := range batch {
		if err == nil {
			_, err = insert.Exec(r.id, r.body)
		}
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// close must be called after the last insert.
func (l *baseline) close() error {
	close(l.queue)
	<-l.ended
	return l.db.Close()
}
