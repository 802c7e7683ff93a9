package cmd

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgres"
)

// place is a project, with its database if that is not the project's own.
type place struct{ dir, db string }

func (p *place) flags(f interface {
	StringVar(to *string, name, standard, usage string)
}) {
	f.StringVar(&p.dir, "dir", ".", "project folder")
	f.StringVar(&p.db, "db", "", "database: a file (default DIR/hookloom.db) or postgres://...; a server that uses it is contacted")
}

// load reads the project.
func (p *place) load() (*loaded, error) {
	l, err := load(p.dir)
	if err == nil {
		l.db = p.db
	}
	return l, err
}

// database is the file of the project's history.
func (l *loaded) database() string { return database(l.project.Dir, l.db, l.project) }

// server returns the process that uses the project's database; nil if there is none, or if that is
// unknown.
func (l *loaded) server() *store.Holder {
	h, err := store.HolderOf(l.database())
	if err != nil {
		return nil
	}
	return h
}

// adminURL returns the admin URL of the database's server. The server writes it to the database's
// lock; the configured address is for servers that do not share this disk.
func (l *loaded) adminURL(scheme string) (string, error) {
	h := l.server()
	switch {
	case h != nil && h.Admin != "":
		return h.Admin, nil
	case h != nil && h.Verb != "serve":
		return "", fmt.Errorf("no server uses the database %s: %s uses it; try again when that has ended", postgres.Name(l.database()), h)
	case h == nil && os.Getenv("HOOKLOOM_ADMIN_ADDR") == "":
		if hasDatabase(l.database()) == nil {
			return "", fmt.Errorf("no server uses the database %s: hookloom serve starts one; --db names another database, HOOKLOOM_ADMIN_ADDR a "+
				"server elsewhere", postgres.Name(l.database()))
		}
	}
	return scheme + strings.TrimPrefix(localURL(setting("", "HOOKLOOM_ADMIN_ADDR", l.project.Server.AdminAddr)), "http"), nil
}

// hooksURL returns the hooks URL of the database's server.
func (l *loaded) hooksURL() string {
	if h := l.server(); h != nil && h.Hooks != "" {
		return h.Hooks
	}
	return localURL(setting("", "HOOKLOOM_ADDR", l.project.Server.Addr))
}

// nothingHere refuses to serve the current folder if it has no project: the verb was called in
// the wrong folder, and would leave a database there. A named folder or database is meant, and the
// project of a database that is there may have been removed.
func (o *serveOptions) nothingHere(l *loaded) error {
	if o.named || setting(o.db, "HOOKLOOM_DB", l.project.Database) != "" || len(l.project.Files()) > 0 || len(l.mistakes) > 0 {
		return nil
	}
	if _, err := os.Stat(l.database()); err == nil {
		return nil
	}
	return errors.New(noProject(o.dir) + " here (hookloom init .), hookloom serve DIR serves another folder")
}

// sqliteFile returns the project's database, which must be a file; advice says what to do about one
// on a PostgreSQL server. A project with mistakes has its database in the usual place.
func (p *place) sqliteFile(advice string) (string, error) {
	path := database(p.dir, p.db, nil)
	if l, err := p.load(); err == nil {
		path = l.database()
	}
	if postgres.IsAddress(path) {
		return "", usageError("%s is on a PostgreSQL server: %s", postgres.Name(path), advice)
	}
	return path, nil
}
