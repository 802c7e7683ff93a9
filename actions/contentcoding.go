package actions

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/engine/plan"
)

// unpack makes resp's body readable. Requests do not ask for compression, but some servers and
// stored objects are compressed anyway (RFC 9110, 8.4). The limits on the size of a body apply to
// what is unpacked.
func unpack(resp *http.Response) error {
	coding := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding")))
	if coding == "" || coding == "identity" || resp.Request.Method == http.MethodHead {
		return nil
	}
	body := bufio.NewReader(resp.Body)
	head, _ := body.Peek(3)
	switch {
	case len(head) == 0:
	case coding != "gzip" && coding != "x-gzip":
		if resp.StatusCode < 300 {
			return &plan.Error{Code: "bad_answer", Status: resp.StatusCode, Message: fmt.Sprintf(
				"the response is encoded with %q, which was not requested; gzip can be read, and save: true keeps the bytes in a file",
				coding)}
		}
	case content.IsGzip(head): // a proxy may have unpacked it without removing the header
		z, err := gzip.NewReader(body)
		if err != nil {
			return &plan.Error{Code: "bad_answer", Status: resp.StatusCode, Message: "the response is not valid gzip: " + err.Error()}
		}
		resp.Body = rest{z, resp.Body}
		resp.ContentLength = -1
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		return nil
	}
	resp.Body = rest{body, resp.Body}
	return nil
}

// rest reads what follows of a body.
type rest struct {
	io.Reader
	io.Closer
}
