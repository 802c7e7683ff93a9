package cmd

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hookloom/hookloom/engine/secrets"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// newSecrets is what the editor shows if there are no secrets yet.
const newSecrets = "# Secrets, one NAME=value a line, written as in .env. They are stored encrypted in secrets.age.\n"

func (a *app) secretsEditCmd() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "edit", Short: "Edit secrets.age in your editor", Args: cobra.NoArgs,
		Long: `Opens the secrets of secrets.age in $VISUAL or $EDITOR (vi by default) and stores the
changes. The text is kept in a folder that only you can read, in memory if the system
has such a folder, and is removed afterwards. It has the format of .env.`,
		Example: "  hookloom secrets edit\n  EDITOR='code --wait' hookloom secrets edit",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.editSecrets(c.Context(), dir)
		}}
	dirFlag(c, &dir)
	return c
}

func (a *app) editSecrets(ctx context.Context, dir string) (err error) {
	text, file, err := readSecretFile(dir)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		text = []byte(newSecrets)
	}
	place, err := privateFolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(place)) }()
	path := filepath.Join(place, "secrets.env")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("writing the text to edit: %w", err)
	}
	for {
		if err := edit(ctx, path); err != nil {
			return err
		}
		edited, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading the edited text: %w", err)
		}
		if bytes.Equal(edited, text) {
			a.printf("nothing was changed\n")
			return nil
		}
		err = named(secrets.WriteFile(dir, edited, file))
		if err == nil {
			a.printf("stored in %s\n", filepath.Join(dir, workflows.SecretFileName))
			return nil
		}
		if errors.Is(err, secrets.ErrChanged) || !a.again(err) {
			return err
		}
	}
}

// again asks whether to edit a text with a mistake again. Without a terminal the answer is no.
func (a *app) again(mistake error) bool {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return false
	}
	a.warnf("%v\nEdit again? Otherwise the changes are lost. [Y/n] ", mistake)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err == nil && !strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "n")
}

// privateFolder creates a folder that only this user can read (0700), in memory if possible.
func privateFolder() (string, error) {
	for _, parent := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		if parent == "" {
			continue
		}
		if place, err := os.MkdirTemp(parent, "hookloom-secrets-*"); err == nil {
			return place, nil
		}
	}
	place, err := os.MkdirTemp("", "hookloom-secrets-*")
	if err != nil {
		return "", fmt.Errorf("making a private folder: %w", err)
	}
	return place, nil
}

// edit opens a file in the user's editor and waits until it is closed.
func edit(ctx context.Context, path string) error {
	argv := strings.Fields(cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi"))
	if len(argv) == 0 {
		return usageError("EDITOR is blank: set it to an editor, such as vi or \"code --wait\"")
	}
	c := exec.CommandContext(ctx, argv[0], append(argv[1:], path)...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := c.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return usageError("the editor %s was not found: set EDITOR to another, or use hookloom secrets set NAME", argv[0])
	case err != nil:
		return fmt.Errorf("the editor %s failed, and nothing was stored: %w", argv[0], err)
	}
	return nil
}
