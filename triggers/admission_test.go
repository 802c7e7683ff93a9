package triggers_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

const admissionProject = `triggers:
  hub: {webhook: {provider: github, secret: "${{ secrets.S }}"}}
  open: {webhook: {auth: none, key: 'headers["x-id"]', max_body: 32MiB}}
  limited: {webhook: {provider: github, secret: "${{ secrets.S }}", rate: 5/s}}
`

// served runs the hooks on a real server.
func served(t *testing.T, config string) (*httptest.Server, *workflows.Project, *memory, *triggers.Hooks) {
	t.Helper()
	p := load(t, config)
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(t, p, sink)
	s := httptest.NewUnstartedServer(h)
	s.Config.ReadTimeout, s.Config.ReadHeaderTimeout = 30*time.Second, 5*time.Second
	s.EnableHTTP2 = true
	t.Cleanup(s.Close)
	return s, p, sink, h
}

// crowd opens connections that send a text each, and keeps them open.
func crowd(t *testing.T, addr string, n int, text string) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
}

// genuine sends a signed delivery of a trigger and gives the answer's status.
func genuine(t *testing.T, client *http.Client, p *workflows.Project, base, trigger, id string, forge bool) int {
	t.Helper()
	variant := "valid"
	if forge {
		variant = "wrong-secret"
	}
	s, err := triggers.Sample(p, trigger, lookup, triggers.SampleOrder{ID: id, Variant: variant})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(s.Method, base+s.Path, strings.NewReader(string(s.Body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = s.Header
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // the status says it
	return resp.StatusCode
}

// TestSilentConnectionsBlockNoDelivery: connections that declare bodies and send
// little or nothing refuse no genuine delivery, not even of a sender who has the same
// address and has proved nothing yet.
func TestSilentConnectionsBlockNoDelivery(t *testing.T) {
	megabyte := strings.Repeat("x", 1<<20-1)
	for name, c := range map[string]struct {
		n    int
		text string
	}{
		"silent at an unknown path":    {64, "POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n"},
		"silent":                       {300, "POST /hooks/hub HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n"},
		"silent, and chunked":          {300, "POST /hooks/open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"},
		"without a head":               {300, "POST /hooks/hub HT"},
		"all but a byte of a kilobyte": {300, "POST /hooks/hub HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n" + megabyte[:39999]},
		"all but a byte of a megabyte": {90, "POST /hooks/hub HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + megabyte},
	} {
		t.Run(name, func(t *testing.T) {
			s, p, _, _ := served(t, admissionProject)
			s.Start()
			crowd(t, s.Listener.Addr().String(), c.n, c.text)
			for i := range 20 {
				if got := genuine(t, s.Client(), p, s.URL, "hub", fmt.Sprint("id-", i), false); got != http.StatusAccepted {
					t.Fatalf("delivery %d: %d", i, got)
				}
			}
		})
	}
}

// TestOpenStreamsBlockNoDelivery: one connection with a hundred open streams holds up nobody.
func TestOpenStreamsBlockNoDelivery(t *testing.T) {
	s, p, _, _ := served(t, admissionProject)
	s.StartTLS()
	flood := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	for range 100 {
		pr, pw := io.Pipe()
		t.Cleanup(func() { _ = pw.Close() })
		req, err := http.NewRequest("POST", s.URL+"/hooks/open", pr)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if resp, err := flood.Do(req); err == nil {
				resp.Body.Close()
			}
		}()
	}
	for i := range 20 {
		if got := genuine(t, s.Client(), p, s.URL, "hub", fmt.Sprint("id-", i), false); got != http.StatusAccepted {
			t.Fatalf("delivery %d: %d", i, got)
		}
	}
}

// TestDeclaredBodiesTakeNoMemory: memory is taken as bytes arrive, not as headers promise
// it.
func TestDeclaredBodiesTakeNoMemory(t *testing.T) {
	s, _, _, _ := served(t, admissionProject)
	s.Start()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	crowd(t, s.Listener.Addr().String(), 200, "POST /hooks/open HTTP/1.1\r\nHost: x\r\nContent-Length: 33000000\r\n\r\nx")
	time.Sleep(100 * time.Millisecond) // let them be read
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("200 connections that declare 33 MB each take %d MiB", grown>>20)
	}
}

// TestSilentBodyIsAborted: a body that does not begin to come is ended, and says so.
func TestSilentBodyIsAborted(t *testing.T) {
	s, _, _, _ := served(t, `triggers: {quick: {webhook: {auth: none, timeout: 1s}}}`)
	s.Start()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST /hooks/quick HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%s", resp.Status)
	}
}

// TestUnknownPathIsAnsweredBeforeItsBodyIsRead: an unknown path is answered at once, whatever
// is still to come of the body.
func TestUnknownPathIsAnsweredBeforeItsBodyIsRead(t *testing.T) {
	s, _, _, _ := served(t, admissionProject)
	s.Start()
	for _, head := range []string{"Content-Length: 100000\r\n", "Transfer-Encoding: chunked\r\n"} {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "POST /nope HTTP/1.1\r\nHost: x\r\n"+head+"\r\n")
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %v %v", head, resp, err)
		}
	}
}

// TestSenderThatWritesBeforeReadingGets413: nginx with its defaults sends the whole
// body by HTTP/1.0 before it reads the answer: a connection that is reset meanwhile
// becomes a 502, and the sender tries for days.
func TestSenderThatWritesBeforeReadingGets413(t *testing.T) {
	s, _, _, _ := served(t, admissionProject)
	s.Start()
	for _, c := range []struct {
		path string
		size int
		want int
	}{{"/hooks/limited-not-there", 1_400_000, 404}, {"/hooks/open", 36_000_000, 413}} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = io.WriteString(conn, fmt.Sprintf("POST %s HTTP/1.0\r\nHost: x\r\nContent-Length: %d\r\n\r\n", c.path, c.size))
		if err != nil {
			t.Fatal(err)
		}
		piece := make([]byte, 64<<10)
		sent := 0
		for sent < min(c.size, 6<<20) {
			n, err := conn.Write(piece[:min(len(piece), c.size-sent)])
			if err != nil {
				t.Fatalf("%s: after %d bytes: %v", c.path, sent, err)
			}
			sent += n
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != c.want {
			t.Errorf("%s: %v %v; want %d", c.path, resp, err, c.want)
		}
	}
}

// TestRateCountsVerifiedDeliveriesOnly: forged requests use nothing up of a trigger's rate.
func TestRateCountsVerifiedDeliveriesOnly(t *testing.T) {
	s, p, _, _ := served(t, admissionProject)
	s.Start()
	for i := range 40 {
		if got := genuine(t, s.Client(), p, s.URL, "limited", fmt.Sprint("f-", i), true); got != http.StatusUnauthorized {
			t.Fatalf("forged: %d", got)
		}
	}
	accepted, limited := 0, 0
	for i := range 12 {
		switch got := genuine(t, s.Client(), p, s.URL, "limited", fmt.Sprint("g-", i), false); got {
		case http.StatusAccepted:
			accepted++
		case http.StatusTooManyRequests:
			limited++
		default:
			t.Errorf("genuine: %d", got)
		}
	}
	if accepted < 5 || limited == 0 {
		t.Errorf("%d accepted, %d over the rate of five", accepted, limited)
	}
}

// TestForgedFloodBlocksNoGenuineDelivery: under a flood of forged requests from one address a
// genuine delivery from there is taken, even if none was before.
func TestForgedFloodBlocksNoGenuineDelivery(t *testing.T) {
	s, p, sink, h := served(t, admissionProject)
	s.Start()
	done := make(chan struct{})
	stop := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				req, _ := http.NewRequest("POST", s.URL+"/hooks/hub", strings.NewReader(`{"forged":true}`))
				req.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
				req.Header.Set("X-GitHub-Delivery", fmt.Sprint(i, "-", n))
				if resp, err := s.Client().Do(req); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		}()
	}
	time.Sleep(500 * time.Millisecond)
	for i := range 20 {
		if got := genuine(t, s.Client(), p, s.URL, "hub", fmt.Sprint("id-", i), false); got != http.StatusAccepted {
			t.Errorf("delivery %d: %d", i, got)
		}
	}
	close(stop)
	for range 8 {
		<-done
	}
	h.Flush()
	sink.Lock()
	defer sink.Unlock()
	if n := len(sink.refusals); n == 0 || n > 600 {
		t.Errorf("%d refusals were handed on", n)
	}
}
