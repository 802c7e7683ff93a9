package triggers

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// How a body arrives.
const (
	// firstPiece is the buffer for a body before any of it is read, in bytes: most deliveries
	// fit in it. It is not accounted: an idle connection costs as much.
	firstPiece = 2048
	// arrivalGrace is how long the first bytes may take. After it a body must arrive at
	// arrivalFloor bytes per second or more.
	arrivalGrace = 5 * time.Second
	// unhurried is the size up to which only arrivalGrace applies, in bytes.
	unhurried    = 8 << 10
	arrivalFloor = 8 << 10
	// discardBytes and discardTime limit how much of an unwanted body is read and discarded.
	// nginx by default sends a whole body before it reads the answer, and reports 502 if the
	// connection is reset meanwhile (RFC 9112, section 9.6).
	discardBytes = 8 << 20
	discardTime  = 5 * time.Second
	// maxDiscards is how many bodies are discarded at once.
	maxDiscards = 64
)

// errNoRoom is returned when there is no memory for a body.
var errNoRoom = errors.New("too many bodies at once")

// acceptedCodings lists the content codings that can be read.
const (
	acceptedCodings = "gzip, identity"
	wrongCoding     = "this content encoding is not accepted: send gzip or none"
)

// read reads a body within limits of size, rate and time. The caller releases the result
// once the delivery is answered.
func (h *Hooks) read(w http.ResponseWriter, req *http.Request, r *route, c *caller, proved bool) (body []byte, x *arriving, status int,
	problem string) {
	if e := req.Header.Get("Content-Encoding"); e != "" && !knownCoding(e) {
		w.Header().Set("Accept-Encoding", acceptedCodings) // RFC 9110, section 15.5.16
		return nil, nil, http.StatusUnsupportedMediaType, wrongCoding
	}
	limit := r.maxBody
	if req.ContentLength > limit {
		return nil, nil, http.StatusRequestEntityTooLarge, fmt.Sprintf("body larger than %d bytes", limit)
	}
	if req.ContentLength == 0 {
		return []byte{}, nil, 0, ""
	}
	x = &arriving{caller: c, proved: proved, began: time.Now(), control: http.NewResponseController(w)}
	x.due = x.began.Add(min(arrivalGrace, r.webhook.Timeout))
	h.admission.begin(x)
	body, err := h.fill(req, x, limit, r.webhook.Timeout)
	ended, late := h.admission.arrived(x)
	if err == nil && !ended && !late {
		return body, x, 0, ""
	}
	h.admission.release(x)
	var tooLarge *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &tooLarge):
		return nil, nil, http.StatusRequestEntityTooLarge, fmt.Sprintf("body larger than %d bytes", limit)
	case ended, errors.Is(err, errNoRoom):
		return nil, nil, http.StatusServiceUnavailable, errNoRoom.Error()
	case late, errors.As(err, &timeout) && timeout.Timeout():
		if h.admission.crowded() {
			// The server may be overloaded; 503 makes the sender retry.
			return nil, nil, http.StatusServiceUnavailable, errNoRoom.Error()
		}
		return nil, nil, http.StatusRequestTimeout, "the body took too long"
	}
	return nil, nil, http.StatusBadRequest, "the body did not arrive completely"
}

// knownCoding reports whether bodies of a content coding are read.
func knownCoding(name string) bool {
	return strings.EqualFold(name, "identity") || strings.EqualFold(name, "gzip") || strings.EqualFold(name, "x-gzip")
}

// firstPieces is the pool of first buffers.
var firstPieces = sync.Pool{New: func() any { return new([firstPiece]byte) }}

// fill reads a body into a buffer that grows with the bytes received, not with the
// declared length.
func (h *Hooks) fill(req *http.Request, x *arriving, limit int64, timeout time.Duration) ([]byte, error) {
	declared, want := req.ContentLength, req.ContentLength
	if declared < 0 {
		want = limit + 1 // one byte more than allowed, to detect that there is more
	}
	first := firstPieces.Get().(*[firstPiece]byte)
	defer firstPieces.Put(first)
	body, own := first[:0:min(want, firstPiece)], false
	for {
		n, err := req.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, &http.MaxBytesError{Limit: limit}
		case int64(len(body)) == declared, errors.Is(err, io.EOF) && declared < 0:
			if !own {
				body = append(make([]byte, 0, len(body)), body...)
			}
			return body, nil
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		}
		if n > 0 {
			x.got.Store(int64(len(body)))
			x.moved.Store(time.Now().UnixNano())
		}
		if len(body) < cap(body) {
			continue
		}
		size := grown(int64(cap(body)), want)
		grace := arrivalGrace
		if size > unhurried {
			grace += time.Duration(size) * time.Second / arrivalFloor
		}
		if !h.admission.take(x, size, x.began.Add(min(timeout, grace))) {
			return nil, errNoRoom
		}
		bigger := make([]byte, len(body), size)
		copy(bigger, body)
		body, own = bigger, true
	}
}

// grown returns the next size of a full buffer. It grows fast, so that a body is copied
// rarely and a large one is refused early if there is no room.
func grown(full, want int64) int64 {
	if full < smallBody {
		return min(want, full*8)
	}
	return min(want, full*16)
}

// decline answers a request without reading its body first. Part of the body is then
// discarded, so that the sender can read the answer.
func (h *Hooks) decline(w http.ResponseWriter, req *http.Request, status int, body reply) {
	if req.ContentLength == 0 || req.ProtoMajor > 1 || w.Header().Get("Connection") != "" {
		answer(w, status, body)
		return
	}
	// Else net/http would wait for the body before it writes the answer.
	w.Header().Set("Connection", "close")
	answer(w, status, body)
	control := http.NewResponseController(w)
	if control.Flush() != nil || req.Header.Get("Expect") != "" {
		return // a sender that waits for 100 Continue does not send the body
	}
	select {
	case h.discards <- struct{}{}:
		defer func() { <-h.discards }()
	default:
		_ = control.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // the connection is gone if this fails
		return
	}
	if control.SetReadDeadline(time.Now().Add(discardTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, req.Body, discardBytes) // nobody waits for it
}
