package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Meter reads what a server has used. Its figures are those of the whole server: they say something about
// one program only while no other uses the server.
type Meter struct {
	conn *pgx.Conn
	// server is the process that started all others of the server; 0 if it is on another machine.
	server int
}

// Usage is what a server has used since it was started.
type Usage struct {
	// CPU is the processor time of all processes, to a hundredth of a second.
	CPU time.Duration
	// WAL is the position in the write-ahead log, in bytes.
	WAL int64
}

// NewMeter connects to the server of an address.
func NewMeter(ctx context.Context, a *Address) (*Meter, error) {
	conn, err := a.Connect(ctx)
	if err != nil {
		return nil, err
	}
	m := &Meter{conn: conn}
	if !allLocal(a.config) {
		return m, nil
	}
	var pid int
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return nil, errors.Join(a.Explain(err), conn.Close(ctx))
	}
	if name, fields := processStat(pid); strings.HasPrefix(name, "postgres") {
		m.server, _ = strconv.Atoi(fields[1]) // the kernel writes a number
	}
	return m, nil
}

// Local reports whether the server is on this machine, so that its processor time can be read.
func (m *Meter) Local() bool { return m.server != 0 }

// Close closes the connection.
func (m *Meter) Close(ctx context.Context) error { return m.conn.Close(ctx) }

// DropSchema removes a schema that a measurement made.
func (m *Meter) DropSchema(ctx context.Context, name string) error {
	if !identifier.MatchString(name) {
		return fmt.Errorf("%q is not the name of a schema", name)
	}
	_, err := m.conn.Exec(ctx, `DROP SCHEMA IF EXISTS `+name+` CASCADE`)
	return err
}

// Read reads the usage until now.
func (m *Meter) Read(ctx context.Context) (u Usage, err error) {
	if err := m.conn.QueryRow(ctx, `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint`).Scan(&u.WAL); err != nil {
		return u, err
	}
	if m.server == 0 {
		return u, nil
	}
	u.CPU, err = processorTime(ctx, m.server, processStat)
	return u, err
}

// statFunc has the results of processStat.
type statFunc func(pid int) (name string, fields []string)

// maxReadings bounds how often processorTime reads again because a process has ended meanwhile.
const maxReadings = 100

// processorTime returns the processor time of a server and of all processes that it started. The kernel moves
// the time of a process that has ended to its parent. If that happens while the files are read, the time would
// be missed or counted twice, so they are read again. It reads the files with stat.
func processorTime(ctx context.Context, server int, stat statFunc) (time.Duration, error) {
	for range maxReadings {
		before, err := endedTime(server, stat)
		if err != nil {
			return 0, err
		}
		sum, ending, err := familyTime(server, stat)
		if err != nil {
			return 0, err
		}
		after, err := endedTime(server, stat)
		if err != nil {
			return 0, err
		}
		if before == after && !ending {
			return sum, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return 0, fmt.Errorf("the processor time of process %d cannot be read: in each of %d readings one of its children ended",
		server, maxReadings)
}

// endedTime returns the processor time of the children of a process that have ended.
func endedTime(pid int, stat statFunc) (time.Duration, error) {
	_, fields := stat(pid)
	if fields == nil {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return ticks(fields[13:15]), nil
}

// familyTime adds up the times of a process, of its children, and of those that have ended. It reports whether a
// child is ending: it has ended, and its parent does not yet have its time.
func familyTime(pid int, stat statFunc) (sum time.Duration, ending bool, err error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, false, err
	}
	parent := strconv.Itoa(pid)
	for _, path := range stats {
		p, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))) // the pattern has digits first; 0 has no file
		_, fields := stat(p)
		switch {
		case fields == nil: // it has ended
		case p == pid:
			sum += ticks(fields[11:15])
		case fields[1] == parent:
			sum += ticks(fields[11:13])
			ending = ending || fields[0] == "Z" || fields[0] == "X"
		}
	}
	return sum, ending, nil
}

// processStat returns the name of a process and the fields after it, from the state on (proc_pid_stat(5)); nil
// where there is no such file.
func processStat(pid int) (name string, fields []string) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", nil
	}
	begin, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	if begin < 0 || end < begin {
		return "", nil
	}
	if fields = strings.Fields(string(text[end+1:])); len(fields) < 15 {
		return "", nil
	}
	return string(text[begin+1 : end]), fields
}

// ticks adds up times in ticks of the kernel, of which a second has 100 on all systems with /proc.
func ticks(fields []string) (sum time.Duration) {
	for _, f := range fields {
		n, _ := strconv.ParseInt(f, 10, 64) // the kernel writes numbers
		sum += time.Duration(n) * (time.Second / 100)
	}
	return sum
}
