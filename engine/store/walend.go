package store

import (
	"bytes"
	"encoding/binary"
	"os"
)

// This file detects that another program truncated a part of the write-ahead log, or overwrote it.
// SQLite knows from the log's index where the log ends, and continues to write there: the lost part
// of the file is then a hole of zeros. The next start would find nothing after the hole, and a
// checkpoint would copy zeros into the database. So the last frame of each commit is remembered,
// and must still exist after the next commit and before the log is moved into the database; twice a
// second all frames must exist.
//
// A log that was moved, and then emptied or restarted, is not damaged: its salts, which each frame
// repeats, change with each restart (sqlite.org/fileformat2.html, 4.1 and 4.2).

// walFrame is the length of a frame's header, before its page.
const walFrame = 24

// walEnd is the known end of the log. The zero value is unknown.
type walEnd struct {
	head [walHead]byte
	// end is the offset after a committed frame, and last that frame's header.
	end  int64
	last [walFrame]byte
	// after is the content at end, where the next commit begins: a frame left by a process that was
	// killed, or zeros. A commit without changes leaves it there.
	after [walFrame]byte
}

// frameSize is the length of a frame of the log with this header.
func frameSize(head *[walHead]byte) int64 {
	return walFrame + int64(binary.BigEndian.Uint32(head[8:]))
}

// frameOf reports whether a frame belongs to the log with this header: it repeats the header's
// salts.
func frameOf(head *[walHead]byte, frame *[walFrame]byte) bool {
	return bytes.Equal(frame[8:16], head[16:24]) && binary.BigEndian.Uint32(frame[:]) != 0
}

// readWALHead reads the log's header; it returns false if there is none.
func readWALHead(wal *os.File) (head [walHead]byte, ok bool) {
	_, err := wal.ReadAt(head[:], 0)
	return head, err == nil && binary.BigEndian.Uint32(head[:])&^1 == walMagic && frameSize(&head) > walFrame
}

// next returns the end after the log's next commit, which has been made. If another process wrote
// too, the result falls behind, but still is a committed frame. Frames after the commit prove
// nothing: a process that was killed may have left some with the same salts.
func (e *walEnd) next(wal *os.File) walEnd {
	head, ok := readWALHead(wal)
	switch {
	case !ok:
		return walEnd{}
	case head != e.head:
		return readWALEnd(wal, head)
	}
	var frame [walFrame]byte
	for at := e.end; ; at += frameSize(&head) {
		if _, err := wal.ReadAt(frame[:], at); err != nil || !frameOf(&head, &frame) || at == e.end && frame == e.after {
			return *e
		}
		if binary.BigEndian.Uint32(frame[4:]) != 0 { // it ends a commit
			return walEnd{head: head, end: at + frameSize(&head), last: frame}.then(wal)
		}
	}
}

// then adds the content after the end.
func (e walEnd) then(wal *os.File) walEnd {
	if n, _ := wal.ReadAt(e.after[:], e.end); n < walFrame {
		e.after = [walFrame]byte{}
	}
	return e
}

// readWALEnd finds the end of a log as a start does, by the checksums of its frames.
func readWALEnd(wal *os.File, head [walHead]byte) walEnd {
	e := walEnd{head: head, end: walHead}
	var order binary.ByteOrder = binary.LittleEndian
	if head[3]&1 == 1 {
		order = binary.BigEndian
	}
	sum := [2]uint32{binary.BigEndian.Uint32(head[24:]), binary.BigEndian.Uint32(head[28:])}
	frame := make([]byte, frameSize(&head))
	for at := e.end; ; at += int64(len(frame)) {
		if _, err := wal.ReadAt(frame, at); err != nil {
			return e.then(wal)
		}
		sum = walSum(walSum(sum, order, frame[:8]), order, frame[walFrame:])
		header := [walFrame]byte(frame)
		if !frameOf(&head, &header) || sum != [2]uint32{binary.BigEndian.Uint32(frame[16:]), binary.BigEndian.Uint32(frame[20:])} {
			return e.then(wal)
		}
		if binary.BigEndian.Uint32(frame[4:]) != 0 {
			e.end, e.last = at+int64(len(frame)), header
		}
	}
}

// walSum continues a checksum of the log (sqlite.org/fileformat2.html, 4.2).
func walSum(sum [2]uint32, order binary.ByteOrder, b []byte) [2]uint32 {
	for ; len(b) >= 8; b = b[8:] {
		sum[0] += order.Uint32(b) + sum[1]
		sum[1] += order.Uint32(b[4:]) + sum[0]
	}
	return sum
}

// lost reports whether the log no longer has its last frame.
func (e *walEnd) lost(wal *os.File) bool {
	return e.end > walHead && e.same(wal) && !e.has(wal, e.end-frameSize(&e.head), &e.last) && e.same(wal)
}

// broken reports whether the log lacks a frame before its end. It checks one of stride frames.
func (e *walEnd) broken(wal *os.File, stride int64) bool {
	if e.end <= walHead || !e.same(wal) {
		return false
	}
	for at := int64(walHead); at < e.end; at += stride * frameSize(&e.head) {
		if !e.has(wal, at, nil) {
			return e.same(wal)
		}
	}
	return e.lost(wal)
}

// same reports whether the log was neither restarted nor emptied since.
func (e *walEnd) same(wal *os.File) bool {
	head, ok := readWALHead(wal)
	return ok && head == e.head
}

// has reports whether the log has a frame at an offset, with a header if there is one.
func (e *walEnd) has(wal *os.File, at int64, header *[walFrame]byte) bool {
	var frame [walFrame]byte
	_, err := wal.ReadAt(frame[:], at)
	return err == nil && frameOf(&e.head, &frame) && (header == nil || frame == *header)
}

// moveStride is the share of the frames that is checked before the log is moved: a truncated log
// lacks its last frame, which is always checked, and watch checks all of them.
const moveStride = 16

// hasGap returns an error for a log that another program truncated or overwrote in part. It checks
// the last frame, and one of stride frames; only the last frame if stride is 0.
func (w *writer) hasGap(stride int64) error {
	e := w.walEnd.Load()
	if w.walFile == nil || e == nil || !(e.lost(w.walFile) || stride > 0 && e.broken(w.walFile, stride)) {
		return nil
	}
	return &MovedError{What: "the write-ahead log", Path: w.wal, How: "cut or written over by another program", hollow: true}
}

// movable reports whether the log may be moved into the database; otherwise all writing ends.
func (w *writer) movable(stride int64) bool {
	err := w.overwritten()
	if err == nil {
		err = w.hasGap(stride)
	}
	if err != nil {
		w.fatal(err)
	}
	return err == nil
}

// noteWALEnd records the end of the last commit. Before the first commit of a process the end is
// unknown: a process that was killed may have written a complete commit that the log's index, kept
// by other readers, does not have, and that the first commit overwrites. A commit without changes
// writes nothing, and leaves the end unknown.
func (w *writer) noteWALEnd() {
	if w.walFile == nil {
		return
	}
	e := w.walEnd.Load()
	if e == nil {
		e = &walEnd{}
	}
	n := e.next(w.walFile)
	if e.end == 0 && n == w.walStart {
		return
	}
	w.walEnd.Store(&n)
}
