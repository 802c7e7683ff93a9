package cmd

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/examples"
	"github.com/hookloom/hookloom/triggers"
	"github.com/spf13/cobra"
)

func (a *app) demoCmd() *cobra.Command {
	var exit, several bool
	c := &cobra.Command{Use: "demo", Short: "Run a complete working example, without setup", Args: cobra.NoArgs,
		Long: `Starts a server on a temporary database with three example workflows, and
fakes of a CRM, a fulfilment service, a chat and a deploy service on
loopback. Sends signed deliveries of Stripe, GitHub and Shopify, among them
forged, stale and duplicate ones, and prints each run as it happens. Runs
until Ctrl-C; with --exit it exits after the scenario, with status 0 only if everything went
as expected.

With --cluster it starts a PostgreSQL server, which must be installed, and two nodes, kills
one of them in the middle, and prints what became of each acknowledged event.`,
		Example: "  hookloom demo\n  hookloom demo --cluster",
		RunE: func(c *cobra.Command, _ []string) error {
			if several {
				return a.demoCluster(c.Context())
			}
			return a.demo(c.Context(), exit)
		}}
	c.Flags().BoolVar(&several, "cluster", false, "two nodes on PostgreSQL, of which one is killed")
	c.Flags().BoolVar(&exit, "exit", false, "end after the scenario")
	return c
}

// demoSecrets creates new secrets for each demo.
func demoSecrets() (map[string]string, error) {
	out := map[string]string{}
	for _, n := range []string{"STRIPE_WEBHOOK_SECRET", "GITHUB_WEBHOOK_SECRET", "SHOPIFY_SECRET", "FULFILMENT_TOKEN", "HUBSPOT_TOKEN",
		"SLACK_TOKEN", "FORM_SECRET", "CRM_TOKEN", "DOCUMENTS_TOKEN", "DEPLOY_SIGNING_SECRET"} {
		var b [24]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("making secrets: %w", err)
		}
		out[n] = hex.EncodeToString(b[:])
		if n == "DEPLOY_SIGNING_SECRET" {
			out[n] = "whsec_" + base64.StdEncoding.EncodeToString(b[:])
		}
	}
	return out, nil
}

// writeExample copies example projects to a folder, with URLs of the fakes, and with a
// hookloom.yaml and an .env.
func writeExample(dir string, names []string, config string, s *fakes, secrets map[string]string) error {
	for _, name := range names {
		err := fs.WalkDir(examples.Files, name, func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := examples.Files.ReadFile(p)
			if err != nil {
				return err
			}
			return writeFile(filepath.Join(dir, strings.TrimPrefix(p, name+"/")), s.rewrite(string(text)))
		})
		if err != nil {
			return fmt.Errorf("copying example %s: %w", name, err)
		}
	}
	text, err := examples.Files.ReadFile(config)
	if err != nil {
		return err
	}
	yaml := s.rewrite(string(text))
	if !strings.Contains(yaml, "egress:") {
		yaml += "\negress: {allow: [127.0.0.1]}\n"
	}
	env := ""
	for _, k := range slices.Sorted(maps.Keys(secrets)) {
		env += k + "=" + secrets[k] + "\n"
	}
	return errors.Join(writeFile(filepath.Join(dir, "hookloom.yaml"), yaml), writeFile(filepath.Join(dir, ".env"), env))
}

func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// demo runs the scenario.
func (a *app) demo(ctx context.Context, exit bool) (err error) {
	withoutEnvironment()
	dir, err := os.MkdirTemp("", "hookloom-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	secrets, err := demoSecrets()
	if err != nil {
		return err
	}
	outside, err := newFakes(secrets)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, outside.close()) }()
	if err := writeExample(dir, []string{"payment", "push", "order"}, "demo.yaml", outside, secrets); err != nil {
		return err
	}
	l, err := load(dir)
	if err != nil {
		return err
	}
	seen := &observer{a: a, began: time.Now(), ended: map[string]int{}}
	o := serveOptions{dir: dir, addr: "127.0.0.1:0", adminAddr: "127.0.0.1:0",
		log: slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelError})), observe: seen.observe, grace: 2 * time.Second}
	s, err := newServer(ctx, o, l)
	if err != nil {
		return err
	}
	serveCtx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.run(serveCtx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	a.printf("Hookloom demo: three workflows on a temporary database\n  hooks     %s/hooks/{stripe,github,shopify}\n"+
		"  console   %s\n  services  %s (fake CRM, fulfilment, chat, deploy)\n\n", s.hooksURL(), s.consoleURL(), outside.base)
	d := &scenario{a: a, s: s, l: l, seen: seen, outside: outside}
	problems := d.play(ctx)
	for _, p := range problems {
		a.printf("UNEXPECTED: %s\n", p)
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := a.demoBacktest(ctx, dir); err != nil {
		return err
	}
	if len(problems) == 0 {
		a.printf("\nEverything went as expected: every genuine delivery ran once, every forged or stale one was refused.\n")
	}
	if exit {
		if len(problems) > 0 {
			return fmt.Errorf("%d results were not as expected", len(problems))
		}
		return nil
	}
	a.demoEnd(dir, s)
	a.printf("\nCtrl-C ends the demo and removes its files.\n")
	<-ctx.Done()
	return nil
}

// demoBacktest shows what an edited workflow would have done with the events of the scenario.
func (a *app) demoBacktest(ctx context.Context, dir string) error {
	const file = "fulfil_order.yaml"
	text, err := os.ReadFile(filepath.Join(dir, "workflows", file))
	if err != nil {
		return err
	}
	edited := filepath.Join(dir, "edited", file)
	changed := strings.Replace(string(text), "amount_received >= 1000", "amount_received >= 100", 1)
	if err := writeFile(edited, strings.Replace(changed, "payment: ${{ event.key }}", "payment: ${{ event.data.id }}", 1)); err != nil {
		return err
	}
	a.printf("\nBefore an edit goes live: what would it have done with these events? Nothing is sent.\n"+
		"  $ hookloom backtest edited/%s        # amount_received >= 100 in place of 1000; the payment's id in place of the event's\n", file)
	return a.backtest(ctx, &backtestFlags{place: place{dir: dir}}, []string{edited})
}

// demoEnd prints what to look at while the demo keeps running.
func (a *app) demoEnd(dir string, s *server) {
	self := "hookloom"
	if exe, err := os.Executable(); err == nil {
		self = exe
		if strings.Contains(exe, "go-build") {
			self = "go run ."
		}
	}
	a.printf("\nInspect the history (in another terminal):\n")
	for _, v := range []string{"runs", "events", "quarantine", "tail"} {
		a.printf("  %s %s --dir %s\n", self, v, dir)
	}
	a.printf("  %s/runs\n", s.consoleURL())
	a.printf("Send one yourself:\n  %s send stripe --dir %s --to %s\n", self, dir, s.hooksURL())
}

// observer prints runs as they happen and records how they ended.
type observer struct {
	a     *app
	began time.Time
	mu    sync.Mutex
	ended map[string]int
	// sending reports whether a delivery waits for its response; kept is what happened in the
	// meantime.
	sending bool
	kept    []string
}

func (o *observer) stamp() string { return fmt.Sprintf("%7.3fs", time.Since(o.began).Seconds()) }

// printf prints, or keeps what happens before a delivery's response. The caller holds the lock.
func (o *observer) printf(format string, args ...any) {
	if o.sending {
		o.kept = append(o.kept, fmt.Sprintf(format, args...))
		return
	}
	o.a.printf(format, args...)
}

// send keeps what happens until answered is called, so that it is printed below the response: the
// event is decided before its sender gets the response.
func (o *observer) send() (answered func(line string)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending = true
	return func(line string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.sending = false
		if line != "" {
			o.printf("%s  %s\n", o.stamp(), line)
		}
		for _, k := range o.kept {
			o.printf("%s", k)
		}
		o.kept = nil
	}
}

func (o *observer) observe(c engine.Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.Decision != nil {
		if c.Decision.Outcome != engine.Matched {
			o.printf("%s    %-14s %s: %s\n", o.stamp(), c.Decision.Outcome, c.Decision.Workflow, printable(c.Decision.Reason))
			o.ended[string(c.Decision.Outcome)]++
		}
		return
	}
	for _, s := range c.Steps {
		if s.Status == "running" || s.Action == "switch" {
			continue
		}
		note := ""
		if s.Error != "" {
			note = "  " + s.Error
		}
		o.printf("%s      %-9s    %s  %s%s\n", o.stamp(), s.Status, s.Path, s.Action, attemptNote(s)+printable(note))
	}
	if c.Run.Status.Ended() {
		o.printf("%s    run %-10s %s (%s) in %s\n", o.stamp(), c.Run.Status, c.Run.Workflow, c.Run.ID,
			c.Run.FinishedAt.Sub(c.Run.StartedAt).Round(time.Millisecond))
		o.ended[string(c.Run.Status)]++
	}
}

func attemptNote(s engine.StepChange) string {
	if s.Attempt > 1 {
		return fmt.Sprintf(" (attempt %d)", s.Attempt)
	}
	return ""
}

func (o *observer) count(status string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended[status]
}

// scenario sends the deliveries and checks the results.
type scenario struct {
	a        *app
	s        *server
	l        *loaded
	seen     *observer
	outside  *fakes
	problems []string
}

func (d *scenario) expect(ok bool, format string, args ...any) {
	if !ok {
		d.problems = append(d.problems, fmt.Sprintf(format, args...))
	}
}

// deliver sends one delivery and checks the response.
func (d *scenario) deliver(ctx context.Context, title, trigger string, want int, o triggers.SampleOrder) string {
	s, err := triggers.Sample(d.l.project, trigger, d.l.secrets.Lookup, o)
	if err != nil {
		d.expect(false, "%s: %v", title, err)
		return ""
	}
	answered := d.seen.send()
	status, body, err := deliver(ctx, d.s.hooksURL(), s)
	if err != nil {
		answered("")
		d.expect(false, "%s: %v", title, err)
		return ""
	}
	answered(fmt.Sprintf("%s  ->  %d %s", title, status, strings.TrimSpace(body)))
	d.expect(status == want, "%s: answered %d, not %d", title, status, want)
	return body
}

// wait waits until a number of runs have ended with a status.
func (d *scenario) wait(ctx context.Context, status string, n int) {
	deadline := time.Now().Add(20 * time.Second)
	for d.seen.count(status) < n && time.Now().Before(deadline) && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	d.expect(d.seen.count(status) == n, "%d runs %s, not %d", d.seen.count(status), status, n)
}

func (d *scenario) play(ctx context.Context) []string {
	now := time.Now()
	d.deliver(ctx, "Stripe payment_intent.succeeded", "stripe", 202, triggers.SampleOrder{ID: "evt_demo_paid", Now: now})
	d.wait(ctx, "succeeded", 1)
	d.deliver(ctx, "GitHub push", "github", 202, triggers.SampleOrder{Type: "push", Now: now})
	d.wait(ctx, "succeeded", 2)
	d.deliver(ctx, "Shopify orders/paid", "shopify", 202, triggers.SampleOrder{Type: "orders/paid", Now: now})
	d.wait(ctx, "succeeded", 3)
	d.a.printf("\nNow some deliveries that must not start a run:\n")
	d.deliver(ctx, "Stripe, forged (wrong secret)", "stripe", 401, triggers.SampleOrder{Variant: "wrong-secret", Now: now})
	d.deliver(ctx, "GitHub, body changed in transit", "github", 401, triggers.SampleOrder{Variant: "tampered", Now: now})
	d.deliver(ctx, "Stripe, stale (signed ten minutes ago)", "stripe", 401, triggers.SampleOrder{Variant: "expired", Now: now})
	body := d.deliver(ctx, "Stripe, the first event again", "stripe", 200, triggers.SampleOrder{ID: "evt_demo_paid", Now: now})
	d.expect(strings.Contains(body, "duplicate"), "the second delivery was not recognized as a duplicate")
	small := []byte(`{"id":"evt_demo_small","object":"event","type":"payment_intent.succeeded","created":1767225600,` +
		`"data":{"object":{"id":"pi_small","amount_received":500,"currency":"eur","metadata":{"order_id":"O-7"}}}}`)
	d.deliver(ctx, "Stripe, a payment below the rule's limit", "stripe", 202, triggers.SampleOrder{Body: small, Now: now})
	d.wait(ctx, "skipped", 1)
	d.check()
	return d.problems
}

// check checks what the fakes received.
func (d *scenario) check() {
	count := map[string]int{}
	keys := map[string]string{}
	for _, c := range d.outside.took() {
		count[c.Service]++
		if c.Service == "fulfilment" {
			if k := keys[c.Path]; k != "" && k != c.Key {
				d.expect(false, "fulfilment saw two idempotency keys for one step")
			}
			keys[c.Path] = c.Key
		}
	}
	for service, want := range map[string]int{"fulfilment": 2, "crm": 3, "chat": 2, "deploy": 1} {
		d.expect(count[service] == want, "%s took %d requests, not %d", service, count[service], want)
	}
	for _, f := range d.outside.wrong() {
		d.expect(false, "%s", f)
	}
	d.expect(d.seen.count("succeeded") == 3, "%d runs succeeded, not 3", d.seen.count("succeeded"))
}
