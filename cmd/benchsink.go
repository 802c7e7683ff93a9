package cmd

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// sink is the target of the whole path's HTTP step. Like the load it handles HTTP directly, because
// it represents another machine.
type sink struct {
	listener net.Listener
	url      string
	began    *sync.Map // delivery id -> when it was sent
	mu       sync.Mutex
	times    []float64
	conns    []net.Conn
	serving  sync.WaitGroup
}

func newSink(began *sync.Map) (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l, url: "http://" + l.Addr().String(), began: began}
	s.serving.Add(1)
	go func() {
		defer s.serving.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.serving.Add(1)
			go func() {
				defer s.serving.Done()
				defer c.Close()
				s.serve(c)
			}()
		}
	}()
	return s, nil
}

// close stops the sink and waits for it.
func (s *sink) close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		_ = c.Close() // including those that the client has closed
	}
	s.mu.Unlock()
	s.serving.Wait()
	return err
}

const sinkAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}"

// serve answers the requests of one connection. A broken connection shows as a failed run.
func (s *sink) serve(c net.Conn) {
	r := bufio.NewReaderSize(c, 4096)
	for {
		line, length, err := readHead(r)
		if err != nil {
			return
		}
		path, _, _ := strings.Cut(strings.TrimPrefix(line, "POST /"), " ")
		if t, ok := s.began.LoadAndDelete(path); ok {
			took := float64(time.Since(t.(time.Time)).Microseconds()) / 1000
			s.mu.Lock()
			s.times = append(s.times, took)
			s.mu.Unlock()
		}
		if _, err := r.Discard(length); err != nil {
			return
		}
		if _, err := io.WriteString(c, sinkAnswer); err != nil {
			return
		}
	}
}
