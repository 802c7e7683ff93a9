package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// namePlace in an argument of secrets.command is replaced by the name of the secret.
const namePlace = "{name}"

// maxAll is the maximum output in bytes of a command that prints all secrets.
const maxAll = 1 << 20

// ownVariables are not passed to programs: they are for Hookloom itself.
var ownVariables = []string{"HOOKLOOM_KEY", "HOOKLOOM_TOKEN", "HOOKLOOM_VIEW_TOKEN"}

func ownKey(name string) string { return "own " + name }

func perName(argv []string) bool {
	return slices.ContainsFunc(argv, func(a string) bool { return strings.Contains(a, namePlace) })
}

func commandKey(argv []string, name string) string {
	if perName(argv) {
		return "command " + name
	}
	return "command"
}

// fromCommand runs secrets.command: for one secret if it has a placeholder for the name, otherwise
// for all.
func (s *Set) fromCommand(ctx context.Context, argv []string, name string) (string, *Failure) {
	if !perName(argv) {
		values, failure := s.ask(commandKey(argv, name), func() (map[string]string, *Failure) { return s.runForAll(ctx, argv) })
		return pick(name, values, failure)
	}
	values, failure := s.ask(commandKey(argv, name), func() (map[string]string, *Failure) {
		filled := slices.Clone(argv)
		for i := range filled[1:] {
			filled[i+1] = strings.ReplaceAll(filled[i+1], namePlace, name)
		}
		return s.runForOne(ctx, "secrets.command for "+name, filled)
	})
	return pick("", values, failure)
}

func (s *Set) ownCommand(ctx context.Context, name string, argv []string) (string, *Failure) {
	values, failure := s.ask(ownKey(name), func() (map[string]string, *Failure) {
		return s.runForOne(ctx, "secrets.names."+name, argv)
	})
	return pick("", values, failure)
}

func (s *Set) runForOne(ctx context.Context, source string, argv []string) (map[string]string, *Failure) {
	out, failure := s.run(ctx, source, argv, maxFile)
	if failure != nil {
		return nil, failure
	}
	v := trimLine(string(out))
	switch {
	case v == "":
		return nil, &Failure{Source: source, Problem: argv[0] + " printed nothing",
			Advice: "run the command in the project's folder: it must print the value, and nothing else"}
	case strings.ContainsRune(v, 0):
		return nil, &Failure{Source: source, Problem: argv[0] + " printed a zero byte", Advice: "it must print text, such as base64"}
	}
	return map[string]string{"": v}, nil
}

func (s *Set) runForAll(ctx context.Context, argv []string) (map[string]string, *Failure) {
	const source = "secrets.command"
	out, failure := s.run(ctx, source, argv, maxAll)
	if failure != nil {
		return nil, failure
	}
	if strings.HasPrefix(strings.TrimSpace(string(out)), "{") {
		values, err := textFields(out)
		if err != nil {
			return nil, &Failure{Source: source, Problem: argv[0] + " printed a JSON object that cannot be read", Advice: "it must print " +
				"an object of names and texts"}
		}
		return values, nil
	}
	const useJSON = "make the program print JSON, such as sops -d --output-type json"
	values, err := workflows.ReadEnv(out)
	if errors.Is(err, workflows.ErrEnvVariable) {
		return nil, &Failure{Source: source, Problem: argv[0] + " printed a value that holds a $, which would be read as a variable",
			Advice: useJSON}
	}
	if err != nil || len(values) == 0 {
		return nil, &Failure{Source: source, Problem: argv[0] + " printed neither NAME=value lines nor a JSON object",
			Advice: "for a program that prints one value, write {name} in an argument, or give each secret its own command under secrets.names"}
	}
	if changed := workflows.ExpandedEnv(out, values); len(changed) > 0 {
		return nil, &Failure{Source: source, Problem: fmt.Sprintf("the value of %s holds a $ that would be read as a variable", changed[0]),
			Advice: useJSON}
	}
	return values, nil
}

// textFields parses a JSON object of texts; numbers and booleans are converted to text, and nested
// values are ignored.
func textFields(b []byte) (map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var all map[string]any
	if err := d.Decode(&all); err != nil {
		return nil, errors.New("it is not a JSON object")
	}
	out := map[string]string{}
	for k, v := range all {
		switch x := v.(type) {
		case string:
			out[k] = x
		case json.Number, bool:
			out[k] = fmt.Sprint(x)
		}
	}
	return out, nil
}

// run runs a program in the project's folder, without a shell and without input. Its standard error
// is discarded, since it may contain secrets. Messages do not contain its arguments either.
func (s *Set) run(ctx context.Context, source string, argv []string, most int) ([]byte, *Failure) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Sources.Timeout)
	defer cancel()
	out := &bounded{most: most, full: cancel}
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Dir, c.Stdout, c.WaitDelay = s.o.Dir, out, time.Second
	c.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(ownVariables, name)
	})
	endWithChildren(c)
	err := c.Run()
	byHand := "run the command by hand in the project's folder, as the server's user, to see why"
	switch {
	case out.over:
		return nil, &Failure{Source: source, Problem: fmt.Sprintf("%s printed more than %s", argv[0], workflows.SizeText(int64(most))),
			Advice: byHand}
	case errors.Is(err, exec.ErrNotFound):
		return nil, &Failure{Source: source, Problem: argv[0] + " is not in the PATH of the server", Advice: "install it, or write its full path"}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, &Failure{Source: source, Problem: fmt.Sprintf("%s did not end within %s", argv[0], s.o.Sources.Timeout),
			Advice: "if it needs longer, raise secrets.timeout; if it asks for a login, sign in first"}
	case ctx.Err() != nil:
		return nil, &Failure{Source: source, Problem: argv[0] + " was interrupted", Advice: "try again"}
	case err != nil:
		return nil, &Failure{Source: source, Problem: fmt.Sprintf("%s failed: %v", argv[0], err), Advice: byHand}
	}
	return out.b.Bytes(), nil
}

// bounded collects the output of a program up to a number of bytes; more output ends the program.
type bounded struct {
	b    bytes.Buffer
	most int
	over bool
	full func()
}

// Write implements io.Writer.
func (w *bounded) Write(p []byte) (int, error) {
	if w.b.Len()+len(p) > w.most {
		w.over = true
		w.full()
		return 0, errors.New("too much output")
	}
	return w.b.Write(p)
}
