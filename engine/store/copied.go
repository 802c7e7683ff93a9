package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// This file marks a database that was copied, so that it is not served beside its copy: both would
// run the open runs. It marks the copy until it is complete, too.

// copiedTo is the name of the mark in meta. It is not copied.
const copiedTo = "copied_to"

// CopiedError reports that a database must not be served, because its copy is.
type CopiedError struct {
	// Path is the database, and To its copy, both without a password.
	Path string    `json:"-"`
	To   string    `json:"to"`
	At   time.Time `json:"at"`
}

// Error implements error.
func (e *CopiedError) Error() string {
	return fmt.Sprintf("it was copied to %s on %s UTC, where its events and open runs continue: they would run twice\n"+
		"Serve that one: hookloom serve --db %s\nTo serve this one in place of it: hookloom db reopen --db %s",
		e.To, e.At.UTC().Format("2006-01-02 15:04"), argument(e.To), argument(e.Path))
}

// copyOf is the name of the mark in meta of a copy that is not complete.
const copyOf = "copy_of"

// IncompleteCopyError reports that a database must not be served or copied, because it is a copy that was
// interrupted.
type IncompleteCopyError struct {
	// Path is the database, and From its source, both without a password.
	Path, From string
}

// Error implements error.
func (e *IncompleteCopyError) Error() string {
	return fmt.Sprintf("it is a copy of %s that was interrupted: events and runs are missing\n"+
		"Copy again, which starts from the beginning: hookloom db copy --from %s --to %s", e.From, argument(e.From), argument(e.Path))
}

// incomplete returns an *IncompleteCopyError if the database is a copy that was interrupted.
func (s *Store) incomplete(ctx context.Context) error {
	var from string
	err := s.readers.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = ?`, copyOf).Scan(&from)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return &IncompleteCopyError{Path: s.path, From: from}
}

// beginCopy marks the database as an incomplete copy, which endCopy ends. An earlier copy into it that was
// interrupted begins anew: what was derived from its rows is removed here, its tables before each is copied.
func (s *Store) beginCopy(ctx context.Context, from string) error {
	return s.w.do(ctx, true, func(t *tx) error {
		err := t.exec(`INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, copyOf, from)
		if err == nil {
			err = t.exec(`DELETE FROM hour_counts`)
		}
		if err == nil && s.w.pg != nil {
			err = t.exec(`DELETE FROM dead_causes`)
		}
		return err
	})
}

func (s *Store) endCopy(ctx context.Context) error {
	return s.w.do(ctx, true, func(t *tx) error { return t.exec(`DELETE FROM meta WHERE name = ?`, copyOf) })
}

// copiedAgain reports that a copy of the source is refused, because the source has one.
func copiedAgain(e *CopiedError) error {
	return fmt.Errorf("%s was copied to %s on %s UTC: a second copy would run its open runs twice\n"+
		"To copy it again, do not serve that copy, and run: hookloom db reopen --db %s",
		e.Path, e.To, e.At.UTC().Format("2006-01-02 15:04"), argument(e.Path))
}

// argument writes the name of a database as an argument of a command: a shell reads ? and spaces.
func argument(database string) string {
	if strings.ContainsAny(database, "?&* '\"$`\\()") {
		return "'" + strings.ReplaceAll(database, "'", `'\''`) + "'"
	}
	return database
}

// markCopied writes that the database was copied.
func (s *Store) markCopied(ctx context.Context, to string) error {
	text, err := json.Marshal(CopiedError{To: to, At: time.Now()})
	if err != nil {
		return err
	}
	return s.w.do(ctx, true, func(t *tx) error {
		return t.exec(`INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, copiedTo,
			string(text))
	})
}

// copied returns the mark, a *CopiedError; nil if there is none.
func (s *Store) copied(ctx context.Context) error {
	var text string
	err := s.readers.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = ?`, copiedTo).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	e := &CopiedError{Path: s.path}
	if err := json.Unmarshal([]byte(text), e); err != nil {
		return fmt.Errorf("the mark %s of the database cannot be read: %w", copiedTo, err)
	}
	return e
}

// Reopen removes the mark of a database that was copied, so that it can be served again. It returns the
// copy, empty if there was no mark.
func Reopen(ctx context.Context, path string, o Options) (to string, err error) {
	o.Verb = "db reopen"
	s, err := Open(ctx, path, o)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.incomplete(ctx); err != nil {
		return "", fmt.Errorf("database %s: %w", s.path, err)
	}
	var mark *CopiedError
	if err := s.copied(ctx); !errors.As(err, &mark) {
		return "", err
	}
	return mark.To, s.w.do(ctx, true, func(t *tx) error { return t.exec(`DELETE FROM meta WHERE name = ?`, copiedTo) })
}
