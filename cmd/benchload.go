package cmd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// generator is the load: connections that send as fast as they get responses, or at a fixed rate.
// It writes HTTP directly, to use little CPU itself.
type generator struct {
	o      benchOptions
	prefix string
	began  *sync.Map
	// timed reports whether the sink needs the time at which a delivery was sent.
	timed    bool
	accepted atomic.Int64
	failed   atomic.Int64
	number   atomic.Int64
}

func (g *generator) load(ctx context.Context, addr string) benchResult {
	var wg sync.WaitGroup
	times := make([][]float64, g.o.connections)
	start := time.Now()
	end := start.Add(g.o.duration)
	for i := range g.o.connections {
		wg.Add(1)
		go func() {
			defer wg.Done()
			times[i] = g.connection(ctx, addr, start, end)
		}()
	}
	wg.Wait()
	took := time.Since(start).Seconds()
	all := slices.Concat(times...)
	p50, p99 := percentiles(all)
	return benchResult{PerSecond: float64(g.accepted.Load()) / took, P50: p50, P99: p99, Failed: int(g.failed.Load())}
}

func percentiles(ms []float64) (p50, p99 float64) {
	if len(ms) == 0 {
		return 0, 0
	}
	slices.Sort(ms)
	return ms[len(ms)/2], ms[len(ms)*99/100]
}

// connection sends until the end. At a fixed rate, latency counts from the scheduled time of a
// delivery, so that waiting for a slow response is included.
func (g *generator) connection(ctx context.Context, addr string, start, end time.Time) []float64 {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		g.failed.Add(1)
		return nil
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 4096)
	var times []float64
	var buf []byte
	for ctx.Err() == nil {
		n := g.number.Add(1)
		due := time.Now()
		if g.o.rate > 0 {
			due = start.Add(time.Duration(float64(n) / float64(g.o.rate) * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
		if due.After(end) {
			break
		}
		buf = g.request(buf[:0], n)
		if _, err := c.Write(buf); err != nil {
			g.failed.Add(1)
			break
		}
		status, err := readAnswer(r)
		if err != nil {
			g.failed.Add(1)
			break
		}
		times = append(times, float64(time.Since(due).Microseconds())/1000)
		if status == http.StatusAccepted {
			g.accepted.Add(1)
		} else {
			g.failed.Add(1)
		}
	}
	return times
}

// request appends one signed delivery of about 1.2 KB with a unique id.
func (g *generator) request(buf []byte, n int64) []byte {
	id := g.prefix + "-" + strconv.FormatInt(n, 10)
	if g.o.ids == "random" {
		id = randomID(id)
	}
	body := benchBody(id, acts(n, g.o.acting))
	m := hmac.New(sha256.New, []byte(benchSecret))
	m.Write(body)
	if g.timed {
		g.began.Store(id, time.Now())
	}
	buf = append(buf, "POST /hooks/bench HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-Event-Id: "...)
	buf = append(buf, id...)
	buf = append(buf, "\r\nX-Signature: sha256="...)
	buf = hex.AppendEncode(buf, m.Sum(nil))
	buf = append(buf, "\r\nContent-Length: "...)
	buf = strconv.AppendInt(buf, int64(len(body)), 10)
	buf = append(buf, "\r\n\r\n"...)
	return append(buf, body...)
}

// randomID returns an id of 32 digits in random order.
func randomID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:16])
}

// acts reports whether the workflow acts on the n-th event: on a share of any first n events.
func acts(n int64, share float64) bool {
	return int64(float64(n)*share) > int64(float64(n-1)*share)
}

// benchTail ends the body of an event. The workflow's rule skips unpaid orders.
var benchTail = func() string {
	var b strings.Builder
	for i := range 8 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"LOOM-%04d","title":"Table loom with a warp of wool, number %d","quantity":%d,"price":%d.5,"tags":["wool",`+
			`"wood"]}`, i, i, i+1, 10*i+9)
	}
	return `,"amount":4200,"currency":"eur","customer":{"id":115310627314723,"email":"ada@example.com","name":"Ada ` +
		`Lovelace"},"lines":[` + b.String() + `]}`
}()

func benchBody(id string, acting bool) []byte {
	status := `","status":"paid"`
	if !acting {
		status = `","status":"open"`
	}
	return []byte(`{"type":"order.paid","id":"` + id + status + benchTail)
}

// readAnswer reads one HTTP/1.1 response with a Content-Length.
func readAnswer(r *bufio.Reader) (int, error) {
	line, length, err := readHead(r)
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, errors.New("short answer")
	}
	status, err := strconv.Atoi(line[9:12])
	if err != nil {
		return 0, err
	}
	_, err = r.Discard(length)
	return status, err
}

// readHead reads a request or a response up to its body, which has length bytes.
func readHead(r *bufio.Reader) (first string, length int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", 0, err
	}
	first = string(line)
	for {
		line, err = r.ReadSlice('\n')
		if err != nil {
			return "", 0, err
		}
		if len(line) <= 2 {
			return first, length, nil
		}
		if k, v, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(k, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return "", 0, err
			}
		}
	}
}
