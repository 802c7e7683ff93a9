package store

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mattn/go-sqlite3"
)

// walOf writes a log of three commits, and returns its content and the offset after each of them.
func walOf(t *testing.T) (content []byte, ends []int64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	c, err := (&sqlite3.SQLiteDriver{}).Open("file:" + path + "?_journal_mode=WAL")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, q := range []string{`CREATE TABLE a (x)`, `INSERT INTO a VALUES (zeroblob(14000))`, `INSERT INTO a VALUES (randomblob(9000))`} {
		if _, err := c.(*sqlite3.SQLiteConn).Exec(q, nil); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, info.Size())
	}
	content, err = os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return content, ends
}

// bigEndian converts the checksums of a log to those of a machine with the other order of bytes.
func bigEndian(content []byte) []byte {
	out := slices.Clone(content)
	out[3] |= 1
	put := func(at int, sum [2]uint32) {
		binary.BigEndian.PutUint32(out[at:], sum[0])
		binary.BigEndian.PutUint32(out[at+4:], sum[1])
	}
	sum := walSum([2]uint32{}, binary.BigEndian, out[:24])
	put(24, sum)
	for at := walHead; at < len(out); at += walFrame + 4096 {
		sum = walSum(walSum(sum, binary.BigEndian, out[at:at+8]), binary.BigEndian, out[at+walFrame:at+walFrame+4096])
		put(at+16, sum)
	}
	return out
}

// The end of a log is after its last whole commit, as SQLite finds it at a start.
func TestTheEndOfALogIsAfterItsLastWholeCommit(t *testing.T) {
	content, ends := walOf(t)
	name := filepath.Join(t.TempDir(), "wal")
	with := func(b []byte, look func(f *os.File)) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		look(f)
	}
	if n := len(content) - int(ends[2]); n != 0 || len(ends) != 3 || ends[1]-ends[0] < 2*(walFrame+4096) {
		t.Fatalf("commits end at %v of %d bytes", ends, len(content))
	}
	check := func(what string, at int64, b []byte, want int64) {
		t.Helper()
		with(b, func(f *os.File) {
			e := (&walEnd{}).next(f)
			var last, after [walFrame]byte
			if want > walHead {
				copy(last[:], b[want-walFrame-4096:])
			}
			if want != 0 && int64(len(b)) >= want+walFrame {
				copy(after[:], b[want:])
			}
			if e.end != want || e.last != last || e.after != after {
				t.Errorf("%s at %d: the end is %d, want %d", what, at, e.end, want)
			}
		})
	}
	for _, b := range [][]byte{content, bigEndian(content)} {
		for _, at := range []int64{0, 31, walHead, ends[0] - 1, ends[0], ends[0] + 23, ends[0] + 24, ends[1] - 1, ends[1], ends[1] + 1,
			ends[2] - 1, ends[2]} {
			want := int64(walHead)
			if at < walHead {
				want = 0
			}
			for _, end := range ends {
				if end <= at {
					want = end
				}
			}
			check("cut", at, b[:at], want)
		}
		for _, at := range []int64{0, 3, 4, 7, 8, 12, 15, 16, 19, 20, 23, 24, 31, walFrame + 4095} { // of the first frame of the second commit
			damaged := slices.Clone(b)
			damaged[ends[0]+at] ^= 1
			check("damaged", at, damaged, ends[0])
		}
		odd := slices.Clone(b)
		odd[1] ^= 1
		check("another magic number", 1, odd, 0)
	}
	for at := range int64(4) { // a page of size 0
		clear(content[8+at : 9+at])
	}
	check("no pages", 8, content, 0)
}

// The end moves by one commit at a time, and damage of the part before it is found.
func TestDamageBeforeTheEndOfALogIsFound(t *testing.T) {
	content, ends := walOf(t)
	name := filepath.Join(t.TempDir(), "wal")
	var f *os.File
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(content[:ends[0]])
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := (&walEnd{}).next(f)
	if same := e.next(f); same != e || e.end != ends[0] {
		t.Errorf("without a commit: %d, then %d", e.end, same.end)
	}
	for _, want := range ends[1:] {
		write(content[:want])
		if e = e.next(f); e.end != want {
			t.Errorf("the end is %d, want %d", e.end, want)
		}
	}
	frame := int64(walFrame + 4096)
	zeroed := func(from, to int64) []byte {
		b := slices.Clone(content)
		clear(b[from:to])
		return b
	}
	restarted := slices.Clone(content)
	restarted[16] ^= 1
	for _, c := range []struct {
		name                string
		b                   []byte
		lost, broken, every bool
	}{
		{"whole", content, false, false, false}, {"longer", append(slices.Clone(content), content[walHead:]...), false, false, false},
		{"a byte of the last page", content[:ends[2]-1], false, false, false}, // its checksum is not looked at
		{"the last frame", content[:ends[2]-frame], true, true, true}, {"the last header", content[:ends[2]-4097], true, true, true},
		{"the second frame", zeroed(walHead+frame, walHead+frame+walFrame), false, true, false},
		{"the first frame", zeroed(walHead, walHead+walFrame), false, true, true},
		{"the fourth frame", zeroed(walHead+3*frame, walHead+3*frame+walFrame), false, true, true},
		{"restarted", restarted, false, false, false}, {"emptied", nil, false, false, false},
		{"all but the header", content[:walHead], true, true, true},
	} {
		write(c.b)
		if lost, broken, every := e.lost(f), e.broken(f, 1), e.broken(f, 3); lost != c.lost || broken != c.broken || every != c.every {
			t.Errorf("%s: lost %t, broken %t, every third frame %t", c.name, lost, broken, every)
		}
	}
	write(content[:walHead])
	if e := (&walEnd{head: e.head, end: walHead}); e.lost(f) || e.broken(f, 1) {
		t.Error("a log without commits has lost one")
	}
	write(content)
	w := &writer{walFile: f, wal: name}
	if err := w.hasGap(1); err != nil {
		t.Errorf("an unknown end: %v", err)
	}
	w.walEnd.Store(&e)
	for stride, want := range map[int64]bool{0: false, 1: true} {
		write(zeroed(walHead+frame, walHead+frame+walFrame))
		if err := w.hasGap(stride); (err != nil) != want {
			t.Errorf("one of %d frames is looked at: %v", stride, err)
		}
		if write(content[:walHead]); w.hasGap(stride) == nil {
			t.Errorf("one of %d frames is looked at: a log without its end is whole", stride)
		}
	}
	w.walFile = nil
	if err := w.hasGap(1); err != nil {
		t.Errorf("without a log: %v", err)
	}
}

func TestALogWithoutItsHeaderIsFound(t *testing.T) {
	name := filepath.Join(t.TempDir(), "wal")
	for _, c := range []struct {
		first uint32
		size  int64
		want  bool
	}{{walMagic, 100, false}, {walMagic | 1, 100, false}, {walMagic ^ 4, 100, true}, {0, 100, true}, {0, walHead, true},
		{0, walHead - 1, false}, {0, 0, false}} {
		b := binary.BigEndian.AppendUint32(nil, c.first)
		if err := os.WriteFile(name, append(b, make([]byte, 96)...), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if headless(f, c.size) != c.want || headless(nil, c.size) {
			t.Errorf("%x in %d bytes", c.first, c.size)
		}
		f.Close()
	}
}
