// Package file implements file/read and file/append for files below one folder of the project,
// which hookloom.yaml names. No path and no link leads out of it.
//
// It must not know the files of runs, which package files stores.
package file

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

const config = "files: {folder: data}\n"

// ReadSpec describes file/read.
var ReadSpec = workflows.ActionSpec{Name: "file/read", Help: "reads a file below files.folder of hookloom.yaml",
	SideEffects: true, Safe: true,
	Example: map[string]any{"content": "", "size": 0, "modified": "2026-05-01T10:00:00Z"},
	Inputs: []workflows.ActionInput{
		{Name: "path", Type: "string", Required: true, Fill: workflows.FillNonempty, Help: "below that folder, such as prices/may.json"},
		{Name: "parse", Type: "string", Words: []string{"auto", "json", "text", "base64"},
			Help: "auto by default: .json files as data, other text files as text, binary files as base64"},
		{Name: "max_size", Type: "size", Help: "1MiB by default, at most 4MiB"},
	},
	Outputs: []workflows.ActionOutput{{Name: "content", Type: "any", Help: "the content"}, {Name: "size", Type: "integer", Help: "bytes"},
		{Name: "modified", Type: "string", Help: "the time of the last change"}},
	Config: config,
	Usage: `- id: prices
  uses: file/read
  with: {path: prices.json}
`}

// AppendSpec describes file/append.
var AppendSpec = workflows.ActionSpec{Name: "file/append", SideEffects: true,
	Help:    "appends a line to a file below files.folder of hookloom.yaml; creates the file if it does not exist",
	Example: map[string]any{"path": "orders.jsonl", "size": 10},
	Inputs: []workflows.ActionInput{
		{Name: "path", Type: "string", Required: true, Fill: workflows.FillNonempty, Help: "below that folder"},
		{Name: "text", Type: "string", Help: "the line; a line break is added at its end if it has none"},
		{Name: "body", Type: "any", Help: "instead of text: data, written as one line of JSON"},
		{Name: "max_size", Type: "size", Help: "how large the file may become; 64MiB by default, at most 1GiB"},
	},
	Outputs: []workflows.ActionOutput{{Name: "path", Type: "string", Help: "as it was given"},
		{Name: "size", Type: "integer", Help: "how many bytes the file has now"}},
	Config: config,
	Usage: `- uses: file/append
  with: {path: orders.jsonl, body: {order: "${{ event.data.order }}", total: "${{ event.data.total }}"}}
`}

const (
	// defaultRead is the default maximum number of bytes to read, mostRead the largest permitted
	// one.
	defaultRead, mostRead = 1 << 20, value.MaxSize
	// defaultGrown is the default maximum size of a file after appending, mostGrown the largest
	// permitted one.
	defaultGrown, mostGrown = 64 << 20, 1 << 30
)

// Read executes file/read, Append executes file/append.
type (
	Read   struct{}
	Append struct{}
)

// appending serializes writes, so that sizes are correct.
var appending sync.Mutex

// open returns the folder and the path in it.
func open(in engine.Input) (*os.Root, string, error) {
	if in.Dir == "" || in.Folder == "" {
		return nil, "", plan.Permanent("unsupported", "hookloom.yaml sets no folder for files: add files: {folder: data}")
	}
	name := value.Shown(in.With["path"])
	if !filepath.IsLocal(name) || strings.ContainsAny(name, "\x00\\") || path.Clean(name) == "." {
		return nil, "", plan.Permanent("invalid_input", "path %q does not stay below the folder %s", value.CutText(name, 100), in.Folder)
	}
	project, err := os.OpenRoot(in.Dir)
	if err != nil {
		return nil, "", broken(name, err)
	}
	defer project.Close()
	root, err := project.OpenRoot(in.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", plan.Permanent("no_file", "the folder %s of files: does not exist: create it in the project's folder", in.Folder)
	}
	if err != nil {
		return nil, "", plan.Permanent("no_file", "the folder %s of files: cannot be opened: %v", in.Folder, reason(err))
	}
	return root, path.Clean(name), nil
}

// reason returns an error without the path, which the message already contains.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func broken(name string, err error) error {
	return &plan.Error{Message: fmt.Sprintf("%q: %v", value.CutText(name, 100), reason(err)), Code: "file", Retryable: true}
}

// regular returns an error for anything but a regular file: reading from a pipe could block
// forever.
func regular(root *os.Root, name string) (fs.FileInfo, error) {
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return nil, plan.Permanent("invalid_input", "path %q: %v", value.CutText(name, 100), reason(err))
	case !info.Mode().IsRegular():
		return nil, plan.Permanent("invalid_input", "path %q is not a file", value.CutText(name, 100))
	}
	return info, nil
}

// limitOf reads max_size.
func limitOf(v any, usual, most int64) (int64, error) {
	if v == nil {
		return usual, nil
	}
	n, err := workflows.ParseSize(value.Shown(v))
	if err != nil || n < 1 || n > most {
		return 0, plan.Permanent("invalid_input", "max_size is a size up to %s", workflows.SizeText(most))
	}
	return n, nil
}

// Do implements engine.Action.
func (Read) Do(ctx context.Context, in engine.Input) (any, error) {
	limit, err := limitOf(in.With["max_size"], defaultRead, mostRead)
	if err != nil {
		return nil, err
	}
	root, name, err := open(in)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := regular(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, plan.Permanent("no_file", "there is no file %q in the folder %s", value.CutText(name, 100), in.Folder)
	}
	if err != nil {
		return nil, err
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, broken(name, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, broken(name, err)
	}
	if int64(len(raw)) > limit {
		return nil, plan.Permanent("too_large", "%q is larger than %s; max_size: allows up to %s", value.CutText(name, 100),
			workflows.SizeText(limit),
			workflows.SizeText(mostRead))
	}
	content, err := parse(value.Shown(in.With["parse"]), name, raw)
	if err != nil {
		return nil, err
	}
	return map[string]any{"content": content, "size": len(raw), "modified": info.ModTime().UTC().Format(time.RFC3339)}, nil
}

func parse(how, name string, raw []byte) (any, error) {
	isJSON := how == "json" || (how == "" || how == "auto") && strings.HasSuffix(strings.ToLower(name), ".json")
	switch {
	case isJSON:
		v, err := value.DecodeJSON(raw)
		if err != nil {
			return nil, plan.Permanent("bad_data", "%q cannot be read as JSON: %v (parse: text reads it as text)", value.CutText(name, 100), err)
		}
		return v, nil
	case how == "base64", how != "text" && !utf8.Valid(raw):
		return base64.StdEncoding.EncodeToString(raw), nil
	}
	return strings.ToValidUTF8(strings.TrimPrefix(string(raw), "\ufeff"), "\ufffd"), nil
}

// Do implements engine.Action.
func (Append) Do(ctx context.Context, in engine.Input) (any, error) {
	limit, err := limitOf(in.With["max_size"], defaultGrown, mostGrown)
	if err != nil {
		return nil, err
	}
	line := value.Shown(in.With["text"])
	if body, given := in.With["body"]; given {
		if in.With["text"] != nil {
			return nil, plan.Permanent("invalid_input", "text and body are mutually exclusive")
		}
		b, err := value.EncodeJSON(body)
		if err != nil {
			return nil, plan.Permanent("too_large", "body: %v", err)
		}
		line = string(b)
	}
	if !strings.HasSuffix(line, "\n") {
		line += "\n"
	}
	root, name, err := open(in)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	appending.Lock()
	defer appending.Unlock()
	info, err := regular(root, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	before := int64(0)
	if info != nil {
		before = info.Size()
	}
	if before+int64(len(line)) > limit {
		return nil, plan.Permanent("too_large", "%q would be larger than %s: write to another file, or raise max_size", value.CutText(name, 100),
			workflows.SizeText(limit))
	}
	if err := write(root, name, line); err != nil {
		return nil, broken(name, err)
	}
	return map[string]any{"path": value.Shown(in.With["path"]), "size": int(before) + len(line)}, nil
}

// write appends a line and syncs the file.
func write(root *os.Root, name, line string) error {
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Sync(), f.Close())
}
