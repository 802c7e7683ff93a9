package actions

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// This file implements save: true, which saves a response to a file, and raw_file and file:, which
// send a file.

// saving is the file to which the response is saved instead of the step's output.
type saving struct {
	files     *files.Store
	run, name string
	// accepted reports which statuses are saved; other responses are read as usual.
	accepted func(status int) bool
	// asked reports whether the step itself sets the maximum size.
	asked bool
}

// saves sets the file to which the response is saved.
func saves(o *order, in engine.Input, accepted func(int) bool) {
	o.save = &saving{files: in.Files, run: in.Run.String(), name: fileName(in.Path, in.Key), accepted: accepted,
		asked: in.With["max_response"] != nil}
	if !o.save.asked {
		o.limit = in.MaxFile
	}
	o.limit, o.most = min(o.limit, in.MaxFile), in.MaxFile
}

// fileName returns the name of a step's file: readable, and the same for each of its attempts.
func fileName(path, key string) string {
	sum := sha256.Sum256([]byte("file " + key))
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '-'
	}, path)
	return readable[:min(len(readable), 60)] + "-" + hex.EncodeToString(sum[:8])
}

// endings are the file extensions of common media types.
var endings = map[string]string{"application/pdf": ".pdf", "text/csv": ".csv", "application/json": ".json", "image/png": ".png",
	"image/jpeg": ".jpg", "application/zip": ".zip",
	"text/plain": ".txt", "application/xml": ".xml", "text/xml": ".xml", "text/html": ".html", "application/gzip": ".gz"}

// into saves a response to its file.
func (s *saving) into(resp *http.Response, o order) (map[string]any, error) {
	contentType := resp.Header.Get("Content-Type")
	media, _, _ := strings.Cut(contentType, ";")
	w, err := s.files.Create(s.run, s.name+endings[strings.ToLower(strings.TrimSpace(media))], o.limit)
	if err != nil {
		return nil, s.saveError(err, o, resp.StatusCode)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		w.Abort()
		if w.Err() == nil { // the response could not be read
			return nil, brokeOff(err, resp.StatusCode)
		}
		return nil, s.saveError(w.Err(), o, resp.StatusCode)
	}
	info, err := w.Commit()
	if err != nil {
		return nil, s.saveError(err, o, resp.StatusCode)
	}
	return map[string]any{"path": info.Path, "size": int(info.Size), "sha256": info.SHA256, "content_type": strings.ToValidUTF8(contentType,
		"\ufffd")}, nil
}

// saveError explains why the file could not be saved.
func (s *saving) saveError(err error, o order, status int) error {
	switch {
	case errors.Is(err, files.ErrTooLarge) && o.limit < o.most:
		return plan.Permanent("too_large", "the response is larger than max_response, %s; files.max_file of hookloom.yaml allows up to %s",
			workflows.SizeText(o.limit), workflows.SizeText(o.most))
	case errors.Is(err, files.ErrTooLarge):
		return plan.Permanent("too_large", "the response is larger than %s, the limit for one file; raise files: {max_file: ...} in "+
			"hookloom.yaml", workflows.SizeText(o.limit))
	case errors.Is(err, files.ErrFull):
		return plan.Permanent("files_full",
			"the response cannot be saved: %v; files are removed with their runs: prune the history, or raise files: {max_size: "+
				"...} in hookloom.yaml", err)
	}
	return &plan.Error{Message: "the response cannot be saved: " + err.Error(), Code: "files", Status: status, Retryable: true}
}

// part is a part of a body: bytes, or a file.
type part struct {
	bytes []byte
	path  string
	size  int64
}

// reader returns an order's body and its length; the caller must close it.
func (o *order) reader() (io.ReadCloser, int64, error) {
	if o.parts == nil {
		return io.NopCloser(bytes.NewReader(o.body)), int64(len(o.body)), nil
	}
	out := &joined{}
	var readers []io.Reader
	length := int64(0)
	for _, p := range o.parts {
		length += p.size
		if p.path == "" {
			readers = append(readers, bytes.NewReader(p.bytes))
			continue
		}
		f, size, err := o.files.Open(p.path)
		if err == nil && size != p.size {
			err = errors.Join(f.Close(), fmt.Errorf("it had %d bytes and now has %d", p.size, size))
		}
		if err != nil {
			_ = out.Close()
			return nil, 0, noFile("body", p.path, err)
		}
		out.open = append(out.open, f)
		readers = append(readers, io.LimitReader(f, size))
	}
	out.Reader = io.MultiReader(readers...)
	return out, length, nil
}

// joined reads several parts as one body.
type joined struct {
	io.Reader
	open []io.Closer
}

// Close implements io.Closer.
func (j *joined) Close() error {
	var err error
	for _, c := range j.open {
		err = errors.Join(err, c.Close())
	}
	j.open = nil
	return err
}

// filePart returns a file that a step sends, given by its path or by the output of the step that
// saved it. media is its type if known.
func filePart(in *files.Store, what string, v any) (p part, media string, err error) {
	path, ok := v.(string)
	if m, isMap := v.(map[string]any); isMap {
		path, ok = m["path"].(string)
		media, _ = m["content_type"].(string)
	}
	if !ok {
		return p, "", plan.Permanent("invalid_request", "%s is the path of a file, such as ${{ steps.report.output.path }} of a step with "+
			"save: true", what)
	}
	f, size, err := in.Open(path)
	if err != nil {
		return p, "", noFile(what, path, err)
	}
	return part{path: path, size: size}, media, f.Close()
}

// noFile explains why a file cannot be sent.
func noFile(what, path string, err error) error {
	switch {
	case errors.Is(err, files.ErrOutside):
		return plan.Permanent("invalid_request",
			"%s %q is not below files/ of the project: only files there, such as those of save: true, can "+
				"be sent", what, clip(path, 100))
	case errors.Is(err, files.ErrMissing):
		return plan.Permanent("no_file", "%s %q: %v", what, clip(path, 100), files.ErrMissing)
	}
	return &plan.Error{Message: fmt.Sprintf("%s %q cannot be read: %v", what, clip(path, 100), err), Code: "files", Retryable: true}
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "..."
	}
	return s
}
