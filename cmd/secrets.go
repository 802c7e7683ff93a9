package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/secrets"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// secretOrder says where secrets come from, for help.
const secretOrder = `A secret has the value of the first of these sources that has it:
  1. the environment variable NAME
  2. the file that the environment variable NAME_FILE names
  3. NAME in .env, then the file that NAME_FILE in .env names; after these, with several
     nodes, a secret that a provider sent in a handshake, from the database
  4. the file NAME in $CREDENTIALS_DIRECTORY (systemd)
  5. the file /run/secrets/NAME (Docker, Podman)
  6. the secret's own source, under secrets.names in hookloom.yaml
  7. secrets.age, encrypted with the key in .hookloom-key or HOOKLOOM_KEY
  8. secrets.command in hookloom.yaml (1Password, sops, ...)
  9. secrets.vault in hookloom.yaml (HashiCorp Vault, OpenBao)
A source that cannot be read is an error: the next one is not used instead.
A running server rereads all of them at SIGHUP, and with serve --watch when .env,
secrets.age or hookloom.yaml changes.`

func (a *app) secretsCmd() *cobra.Command {
	c := &cobra.Command{Use: "secrets", Short: "List secrets, and keep them encrypted in secrets.age", Args: cobra.NoArgs,
		Long:    "Lists where secrets come from, and changes those in secrets.age. No value is ever shown.\n\n" + secretOrder,
		Example: "  hookloom secrets list\n  hookloom secrets set STRIPE_KEY\n  hookloom secrets edit"}
	c.AddCommand(a.secretsListCmd(), a.secretsSetCmd(), a.secretsRemoveCmd(), a.secretsEditCmd())
	return c
}

func dirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "dir", ".", "project folder")
}

func (a *app) secretsListCmd() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "list", Short: "List secrets and where each comes from, without values", Args: cobra.NoArgs,
		Long: "Lists the secrets that the project names and those in secrets.age, and where each\ncomes from. Values are not shown.\n\n" +
			secretOrder,
		Example: "  hookloom secrets list\n  hookloom secrets list -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := loadAsked(c.Context(), dir, nil)
			if err != nil {
				return err
			}
			l.useCaptured(c.Context(), a.warnf)
			return a.listSecrets(c.Context(), l)
		}}
	dirFlag(c, &dir)
	return c
}

// secretItem is a line of the list.
type secretItem struct {
	Name string `json:"name"`
	Set  bool   `json:"set"`
	// Source is where the value comes from, Asked which sources were tried.
	Source string   `json:"source,omitempty"`
	Asked  []string `json:"asked"`
	// Used reports whether a file of the project uses it.
	Used    bool   `json:"used"`
	Problem string `json:"problem,omitempty"`
	Advice  string `json:"advice,omitempty"`
}

func (a *app) listSecrets(ctx context.Context, l *loaded) error {
	used := l.project.SecretNames()
	names := append(slices.Clone(used), l.secrets.FileNames()...)
	for n := range l.secrets.Sources().Names {
		names = append(names, n)
	}
	slices.Sort(names)
	items := []secretItem{}
	for _, n := range slices.Compact(names) {
		f := l.secrets.Find(ctx, n)
		i := secretItem{Name: n, Set: f.Value != "", Source: f.Source, Asked: f.Asked, Used: slices.Contains(used, n)}
		if !i.Set {
			i.Problem, i.Advice = l.secrets.Explain(n)
		}
		items = append(items, i)
	}
	if a.json() {
		return a.printJSON(map[string]any{"items": items})
	}
	t := newTable("SECRET", "FROM", "")
	for _, i := range items {
		note := ""
		if !i.Used {
			note = "the project does not use it"
		}
		from := i.Source
		if !i.Set {
			why := strings.TrimPrefix(strings.TrimPrefix(i.Problem, "secret "+i.Name+" is not set"), ": ")
			from, note = "not set", strings.TrimPrefix(why+"; "+i.Advice, "; ")
		}
		t.row(i.Name, from, note)
	}
	return t.print(a.out)
}

func (a *app) secretsSetCmd() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "set NAME", Short: "Store a secret in secrets.age", Args: cobra.ExactArgs(1),
		Long: `Stores a secret in secrets.age, encrypted with the project's key. The value is read from
standard input, without the line break at its end; at a terminal it is prompted for and
not shown. It cannot be an argument: arguments appear in the shell's history and in
process lists.`,
		Example: "  hookloom secrets set STRIPE_KEY\n  hookloom secrets set TLS_KEY < key.pem",
		RunE: func(c *cobra.Command, args []string) error {
			value, err := a.readSecret(args[0])
			if err != nil {
				return err
			}
			if err := changeSecrets(dir, func(text []byte) ([]byte, error) { return workflows.SetEnv(text, args[0], value) }); err != nil {
				return err
			}
			a.printf("stored %s in %s\n", args[0], filepath.Join(dir, workflows.SecretFileName))
			a.warnPrecedence(dir, args[0])
			return nil
		}}
	dirFlag(c, &dir)
	return c
}

// warnPrecedence warns if another source takes precedence over secrets.age.
func (a *app) warnPrecedence(dir, name string) {
	l, err := load(dir)
	if err != nil {
		return // the secret is stored; other commands report what is wrong with the project
	}
	if f := l.secrets.Find(context.Background(), name); f.Source != workflows.SecretFileName && f.Source != "" {
		a.warnf("%s is also set in %s, which takes precedence\n", name, f.Source)
	}
}

func (a *app) secretsRemoveCmd() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "remove NAME", Short: "Remove a secret from secrets.age", Args: cobra.ExactArgs(1),
		Example: "  hookloom secrets remove STRIPE_KEY",
		RunE: func(c *cobra.Command, args []string) error {
			err := changeSecrets(dir, func(text []byte) ([]byte, error) {
				out, there, err := workflows.RemoveEnv(text, args[0])
				if err == nil && !there {
					err = usageError("%s is not in %s; hookloom secrets list shows where secrets come from", args[0], workflows.SecretFileName)
				}
				return out, err
			})
			if err == nil {
				a.printf("removed %s from %s\n", args[0], filepath.Join(dir, workflows.SecretFileName))
			}
			return err
		}}
	dirFlag(c, &dir)
	return c
}

// changeSecrets changes the text of secrets.age.
func changeSecrets(dir string, change func(text []byte) ([]byte, error)) error {
	text, file, err := readSecretFile(dir)
	if err != nil {
		return err
	}
	if text, err = change(text); err != nil {
		return named(err)
	}
	return named(secrets.WriteFile(dir, text, file))
}

// readSecretFile reads secrets.age; the error for a missing key includes advice.
func readSecretFile(dir string) (text, file []byte, err error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, nil, usageError("%s: no such folder; hookloom init makes a project", dir)
	}
	text, file, err = secrets.ReadFile(dir)
	if errors.Is(err, seal.ErrNoKey) {
		return nil, nil, &exitError{exitUsage, err}
	}
	return text, file, err
}

// named replaces .env by secrets.age in errors; both have the same format.
func named(err error) error {
	if err == nil || !strings.HasPrefix(err.Error(), workflows.EnvFileName+":") {
		return err
	}
	return usageError("%s", workflows.SecretFileName+strings.TrimPrefix(err.Error(), workflows.EnvFileName))
}

// readSecret reads a value from standard input, or prompts for it.
func (a *app) readSecret(name string) (string, error) {
	var b []byte
	var err error
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		a.warnf("%s: ", name)
		b, err = term.ReadPassword(fd)
		a.warnf("\n")
	} else {
		b, err = io.ReadAll(io.LimitReader(os.Stdin, maxSecretInput+1))
	}
	value := strings.TrimRight(string(b), "\r\n")
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the value of %s: %w", name, err)
	case len(b) > maxSecretInput:
		return "", usageError("the value of %s is larger than %s", name, workflows.SizeText(maxSecretInput))
	case value == "":
		return "", usageError("the value of %s is empty; nothing was stored", name)
	}
	return value, nil
}

// maxSecretInput is the maximum size of a secret in bytes.
const maxSecretInput = 64 << 10
