package actions

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"mime"
	"mime/multipart"
	"net/textproto"
	"path"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// multipartBody encodes multipart/form-data (RFC 7578): a map from names to a text, to a part
// {text, raw, body or file; filename, type}, or to a list of those. The boundary is derived from
// key, so that each attempt of a step sends the same bytes.
func multipartBody(o *order, v any, in engine.Input) error {
	m, ok := v.(map[string]any)
	if !ok {
		return plan.Permanent("invalid_request", "multipart is a map of names to texts or parts")
	}
	out := &pieces{files: in.Files}
	w := multipart.NewWriter(&out.Buffer)
	sum := sha256.Sum256([]byte("multipart " + in.Key))
	if err := w.SetBoundary("hookloom" + hex.EncodeToString(sum[:16])); err != nil {
		return fmt.Errorf("multipart: %w", err)
	}
	for _, name := range sortedKeys(m) {
		list, ok := m[name].([]any)
		if !ok {
			list = []any{m[name]}
		}
		for _, e := range list {
			if e == nil {
				continue
			}
			if err := writePart(w, out, name, e); err != nil {
				return err
			}
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("multipart: %w", err)
	}
	if out.parts == nil {
		o.body = out.Bytes()
	} else {
		out.cut()
		o.parts = out.parts
	}
	o.header.Set("Content-Type", w.FormDataContentType())
	return nil
}

// pieces is a body being built: the bytes since the last file, and the parts before.
type pieces struct {
	bytes.Buffer
	files *files.Store
	parts []part
}

// cut ends the current piece of bytes.
func (p *pieces) cut() {
	if p.Len() > 0 {
		p.parts = append(p.parts, part{bytes: bytes.Clone(p.Bytes()), size: int64(p.Len())})
		p.Reset()
	}
}

func writePart(w *multipart.Writer, out *pieces, name string, v any) error {
	part, isPart := v.(map[string]any)
	if !isPart {
		part = map[string]any{"text": v}
	}
	content, media, err := partContent(name, part)
	if err != nil {
		return err
	}
	file, isFile := part["file"]
	sent, known, err := sentFile(out.files, name, file, isFile)
	if err != nil {
		return err
	}
	if isFile {
		media = cmp.Or(known, "application/octet-stream")
		if part["filename"] == nil {
			part = maps.Clone(part)
			part["filename"] = path.Base(sent.path) // otherwise it would be parsed as a text
		}
	}
	params := map[string]string{"name": name}
	if f := part["filename"]; f != nil {
		params["filename"] = value.Shown(f)
	}
	for _, p := range params {
		if !validHeader("x", p) {
			return plan.Permanent("invalid_request", "multipart %s: a name holds a line break or another character that headers cannot carry",
				clipName(name))
		}
	}
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", multipartDisposition(params))
	if t := part["type"]; t != nil {
		media = value.Shown(t)
		if _, _, err := mime.ParseMediaType(media); err != nil {
			return plan.Permanent("invalid_request", "multipart %s: type %q is not a media type", name, media)
		}
	}
	if media != "" {
		h.Set("Content-Type", media)
	}
	to, err := w.CreatePart(h)
	if err == nil {
		_, err = to.Write(content)
	}
	if err != nil {
		return fmt.Errorf("multipart %s: %w", name, err)
	}
	if isFile {
		out.cut()
		out.parts = append(out.parts, sent)
	}
	return nil
}

// sentFile returns the file of a part that has one.
func sentFile(kept *files.Store, name string, v any, isFile bool) (part, string, error) {
	if !isFile {
		return part{}, "", nil
	}
	return filePart(kept, "multipart "+clipName(name)+": file", v)
}

// multipartDisposition formats names like browsers (RFC 7578, 4.2; WHATWG, "multipart form data"):
// quoted, with quotes escaped.
func multipartDisposition(params map[string]string) string {
	out := `form-data; name="` + quoteName(params["name"]) + `"`
	if f, ok := params["filename"]; ok {
		out += `; filename="` + quoteName(f) + `"`
	}
	return out
}

func quoteName(s string) string {
	return string(bytes.ReplaceAll([]byte(s), []byte(`"`), []byte("%22")))
}

// partContent returns a part's bytes, and its media type if the part does not set one.
func partContent(name string, part map[string]any) (content []byte, media string, err error) {
	n := 0
	for k := range part {
		switch k {
		case "text", "raw", "body", "file":
			n++
		case "filename", "type":
		default:
			return nil, "", plan.Permanent("invalid_request", "multipart %s: a part has no key %q; known are text, raw, body, file, filename, type",
				name, k)
		}
	}
	if n != 1 {
		return nil, "", plan.Permanent("invalid_request", "multipart %s: a part needs one of text, raw (base64), body (sent as JSON) and file "+
			"(a path)", name)
	}
	if _, ok := part["file"]; ok {
		return nil, "", nil
	}
	if b, ok := part["body"]; ok {
		content, err = value.EncodeJSON(b)
		if err != nil {
			return nil, "", notEncoded("multipart "+name+": body", err)
		}
		return content, "application/json", nil
	}
	if raw, ok := part["raw"]; ok {
		if content, err = base64.StdEncoding.DecodeString(value.Shown(raw)); err != nil {
			return nil, "", plan.Permanent("invalid_request", "multipart %s: raw is not valid base64", name)
		}
		return content, "application/octet-stream", nil
	}
	if part["filename"] != nil {
		media = "text/plain; charset=utf-8"
	}
	return []byte(value.Shown(part["text"])), media, nil
}
