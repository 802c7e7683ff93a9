package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/spf13/cobra"
)

type sendOptions struct {
	place
	to, kind, body, variant, id string
	inputs                      []string
	why                         string
	// print is the format in which the request is printed instead of being sent.
	print       string
	showSecrets bool
}

func (a *app) sendCmd() *cobra.Command {
	var o sendOptions
	c := &cobra.Command{Use: "send TRIGGER", Short: "Send a signed sample delivery to a running server", Args: cobra.ExactArgs(1),
		Long: `Signs a delivery of the trigger's provider with the project's own secret and
sends it. The name of a workflow with on: manual starts that workflow, through
the admin address, with --input NAME=VALUE.

--type all makes one delivery of each type that the provider documents. --print sends
nothing and prints the signed request: as raw HTTP, which hookloom verify reads, as a
line for a shell (--print=curl), or its body alone, for a fixture (--print=body).
Secrets in it are masked, unless --show-secrets is given.`,
		Example: "  hookloom send stripe --type payment_intent.succeeded\n  hookloom send github --variant tampered\n" +
			"  hookloom send github --type all --print=curl\n" +
			"  hookloom send refund --input order_id=A-1001 --input amount=12.5 --why 'asked by phone'",
		RunE: func(c *cobra.Command, args []string) error { return a.send(c.Context(), args[0], o) }}
	f := c.Flags()
	o.flags(f)
	f.StringVar(&o.to, "to", "", "hooks address of the server (default: the project's own)")
	f.StringVar(&o.kind, "type", "", "event type, or all")
	f.StringVar(&o.print, "print", "", "print the signed request and send nothing: "+strings.Join(printForms, ", "))
	f.Lookup("print").NoOptDefVal = printForms[0]
	f.BoolVar(&o.showSecrets, "show-secrets", false, "with --print: do not mask secrets")
	f.StringVar(&o.body, "body", "", "file with the body, - for standard input")
	f.StringVar(&o.id, "id", "", "event id (default: a new one)")
	f.StringVar(&o.variant, "variant", "valid", strings.Join(triggers.Variants, ", "))
	f.StringArrayVar(&o.inputs, "input", nil, "NAME=VALUE, for a workflow")
	f.StringVar(&o.why, "why", "", "why the workflow is started by hand; stored with the event")
	return c
}

func (a *app) send(ctx context.Context, name string, o sendOptions) error {
	l, err := o.load()
	if err != nil {
		return err
	}
	if l, err = l.inForce(ctx, o.dir, name, a.warnf); err != nil {
		return err
	}
	l.db = o.db
	l.useCaptured(ctx, a.warnf)
	if t := l.project.Triggers[name]; t == nil || t.Webhook == nil && byHand(l.project.Workflows[name]) {
		return a.sendManual(ctx, l, name, o)
	}
	if !slices.Contains(triggers.Variants, o.variant) {
		return usageError("--variant is one of %s, not %q", strings.Join(triggers.Variants, ", "), o.variant)
	}
	order := triggers.SampleOrder{ID: o.id, Variant: o.variant}
	if order.Body, err = readBody(o.body); err != nil {
		return err
	}
	if order.Base = o.to; order.Base == "" {
		order.Base = l.hooksURL()
		if l.project.Server.TLS != nil {
			order.Base = "https" + strings.TrimPrefix(strings.TrimPrefix(order.Base, "https"), "http")
		}
	}
	types, err := sampleTypes(l, name, o.kind)
	if err != nil {
		return err
	}
	for i, kind := range types {
		if order.Type = kind; o.print != "" && i > 0 {
			a.printf("\n")
		}
		if err := a.sendSample(ctx, l, name, order, &o); err != nil {
			return err
		}
	}
	return nil
}

// sendSample creates one delivery, and sends or prints it.
func (a *app) sendSample(ctx context.Context, l *loaded, name string, order triggers.SampleOrder, o *sendOptions) error {
	s, err := triggers.Sample(l.project, name, l.secrets.Lookup, order)
	if errors.Is(err, signature.ErrNoPrivateKey) {
		return usageError("%s: %v. To try it out, configure a private key of your own (PEM) as a second secret and send with --variant "+
			"old-secret", name, err)
	}
	if err != nil {
		return usageError("%v", err)
	}
	if s.Note != "" {
		a.warnf("note: %s\n", s.Note)
	}
	if o.print != "" {
		return a.printSample(l, s, o, order.Base)
	}
	client, err := sendClient(l, strings.HasPrefix(order.Base, "https:") && o.to == "")
	if err != nil {
		return err
	}
	times := 1
	if o.variant == "duplicate" {
		times = 2
	}
	last := 0
	for range times {
		status, body, err := deliverBy(ctx, client, order.Base, s)
		if err != nil {
			return err
		}
		last = status
		a.printf("%d %s\n", status, printable(strings.TrimSpace(body)))
	}
	switch {
	case last < 300, o.variant != "valid" && o.variant != "duplicate":
		return nil
	case last == http.StatusServiceUnavailable:
		return errors.New("the server cannot store deliveries now: its log and hookloom doctor say why")
	}
	return errors.New("the server refused a valid delivery; hookloom quarantine says why")
}

func readBody(file string) ([]byte, error) {
	switch file {
	case "":
		return nil, nil
	case "-":
		return io.ReadAll(io.LimitReader(os.Stdin, workflows.LargestMaxBody))
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError("%v", err)
	}
	return b, nil
}

// localURL converts a listening address to a URL on this machine.
func localURL(addr string) string {
	if strings.HasPrefix(addr, ":") {
		addr = "127.0.0.1" + addr
	}
	return "http://" + strings.Replace(addr, "0.0.0.0:", "127.0.0.1:", 1)
}

// sendClient returns the HTTP client of send. It accepts the project's own certificate, which need
// not be signed by a CA.
func sendClient(l *loaded, own bool) (*http.Client, error) {
	client := &http.Client{}
	if own {
		var err error
		if client, _, err = adminClient(l.project.Dir, l.project.Server.TLS); err != nil {
			return nil, err
		}
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Timeout, client.Transport = 30*time.Second, egress.Once(client.Transport)
	return client, nil
}

// deliver is deliverBy with its own client.
func deliver(ctx context.Context, base string, s *triggers.SampleRequest) (int, string, error) {
	return deliverBy(ctx, &http.Client{Timeout: 30 * time.Second, Transport: egress.Once(http.DefaultTransport)}, base, s)
}

// deliverBy sends a prepared delivery and returns the response.
func deliverBy(ctx context.Context, client *http.Client, base string, s *triggers.SampleRequest) (int, string, error) {
	u := strings.TrimRight(base, "/") + s.Path
	if len(s.Query) > 0 {
		u += "?" + s.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, s.Method, u, bytes.NewReader(s.Body))
	if err != nil {
		return 0, "", usageError("%v", err)
	}
	req.Header = s.Header.Clone()
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("no server at %s (hookloom serve starts it): %w", base, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, string(b), err
}

// triggersOf returns the triggers of a provider, whose name is often given instead of a trigger's.
func triggersOf(l *loaded, provider string) string {
	var names []string
	for name, t := range l.project.Triggers {
		if t.Webhook != nil && t.Webhook.Provider == provider {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "hookloom triggers lists the triggers"
	}
	slices.Sort(names)
	return fmt.Sprintf("the %s of that provider: %s", plural(len(names), "trigger"), strings.Join(names, ", "))
}

// byHand reports whether a workflow can be started by hand.
func byHand(w *workflows.Workflow) bool {
	return w != nil && slices.ContainsFunc(w.Starts, func(s workflows.Start) bool { return s.ByHand() })
}

func (a *app) sendManual(ctx context.Context, l *loaded, name string, o sendOptions) error {
	w := l.project.Workflows[name]
	if w == nil {
		hint := spelling.Nearest(name, append(slices.Sorted(maps.Keys(l.project.Triggers)), slices.Sorted(maps.Keys(l.project.Workflows))...))
		if hint != "" {
			hint = fmt.Sprintf("; did you mean %q?", hint)
		} else {
			hint = "; " + triggersOf(l, name)
		}
		return usageError("no trigger and no workflow is named %q%s", name, hint)
	}
	for flag, value := range map[string]string{"--body": o.body, "--type": o.kind, "--id": o.id, "--print": o.print} {
		if value != "" {
			return usageError("%s is for the deliveries of a trigger; %s is a workflow, which gets its inputs by --input NAME=VALUE", flag, name)
		}
	}
	inputs := map[string]any{}
	for _, in := range o.inputs {
		k, v, ok := strings.Cut(in, "=")
		if !ok {
			return usageError("--input %q: write NAME=VALUE", in)
		}
		inputs[k] = inputValue(w, k, v)
	}
	body := map[string]any{"inputs": inputs, "by": callerName(ctx), "why": o.why}
	var out struct {
		Event string `json:"event"`
	}
	if err := adminCall(ctx, l, "POST", "/api/v1/workflows/"+name+"/fire", body, &out); err != nil {
		return err
	}
	a.printf("started: event %s\n", out.Event)
	return nil
}

// inputValue parses a command line value by its declared type.
func inputValue(w *workflows.Workflow, name, text string) any {
	for _, in := range w.Inputs {
		if in.Name != name {
			continue
		}
		switch in.Type {
		case "string", "date":
			return text
		default:
			if v, err := value.DecodeJSON([]byte(text)); err == nil {
				return v
			}
		}
	}
	return text
}

// adminAPI returns the client and the URL of a project server's API.
func (l *loaded) adminAPI(ctx context.Context) (client *http.Client, base string, err error) {
	if x := agentOf(ctx); x != nil && x.api != nil {
		return &http.Client{Transport: inProcess{x.api}}, "http://localhost", nil
	}
	client, scheme, err := adminClient(l.project.Dir, l.project.Server.AdminTLS)
	if err != nil {
		return nil, "", err
	}
	base, err = l.adminURL(scheme)
	return client, base, err
}

// identify adds the author to a request.
func identify(ctx context.Context, req *http.Request, l *loaded) error {
	req.Header.Set(console.ClientHeader, "cli")
	x := agentOf(ctx)
	if x != nil {
		req.Header.Set(console.AgentHeader, x.name)
	}
	if x != nil && x.api != nil {
		req.Header.Set("Authorization", x.authorization)
		return nil
	}
	token, err := adminToken(l)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return err
}

// callTime returns how long a call of the API may take.
func callTime(path string, body any) time.Duration {
	order, _ := body.(map[string]any)
	switch {
	case path == "/api/v1/prune":
		return time.Hour // it continues until nothing is left
	case path == "/api/v1/replays" && order["whole"] == true:
		return 2*time.Hour + time.Minute // the limits of its plan
	case path == "/api/v1/replays":
		return time.Minute
	}
	return 30 * time.Second
}

// adminCall calls the API of a project's running server.
func adminCall(ctx context.Context, l *loaded, method, path string, body, into any) error {
	client, base, err := l.adminAPI(ctx)
	if err != nil {
		return err
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if err := identify(ctx, req, l); err != nil {
		return err
	}
	client.Timeout = callTime(path, body)
	resp, err := client.Do(req)
	if err != nil {
		unread := ""
		if slices.ContainsFunc(l.mistakes, func(m workflows.Mistake) bool { return !m.Warning && workflows.IsSettings(m.File) }) {
			unread = "; hookloom.yaml has mistakes, so its admin_addr may not have been read"
		}
		return fmt.Errorf("no server at %s (hookloom serve starts it, HOOKLOOM_ADMIN_ADDR names another%s): %w", base, unread, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		var e struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(answer, &e) != nil || e.Error == "" {
			e.Error = strconv.Itoa(resp.StatusCode)
		}
		if resp.StatusCode == http.StatusUnauthorized {
			e.Error += " (set HOOKLOOM_TOKEN to server.token or to a token of server.tokens)"
		}
		return fmt.Errorf("the server answered: %s", e.Error)
	}
	return json.Unmarshal(answer, into)
}

func (a *app) verifyCmd() *cobra.Command {
	var o verifyOptions
	c := &cobra.Command{Use: "verify TRIGGER --request FILE", Short: "Verify a captured raw HTTP request as the server would",
		Args: cobra.ExactArgs(1),
		Long: `Reads a raw HTTP request (request line, headers, blank line, body bytes) and reports
whether the server would accept it, and why not. Exit status 0 if it is accepted or a
handshake, 1 if it is refused.

A request does not contain its source address: --from sets it, for triggers
with allow_ips and servers behind trusted proxies.`,
		Example: "  hookloom verify stripe --request captured.http --now 1767225600\n" +
			"  hookloom verify stripe --request captured.http --from 203.0.113.5",
		RunE: func(c *cobra.Command, args []string) error { return a.verify(c.Context(), args[0], o) }}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", ".", "project folder")
	f.StringVar(&o.file, "request", "", "the captured request, - for standard input")
	f.StringVar(&o.url, "url", "", "the URL as the sender knows it")
	f.StringVar(&o.from, "from", "", "the address that the request came from")
	f.Int64Var(&o.now, "now", 0, "verify as of this time, in Unix seconds")
	return c
}

type verifyOptions struct {
	dir, file, url, from string
	now                  int64
}

func (a *app) verify(ctx context.Context, trigger string, o verifyOptions) error {
	l, err := load(o.dir)
	if err != nil {
		return err
	}
	if l, err = l.inForce(ctx, o.dir, trigger, a.warnf); err != nil {
		return err
	}
	raw, err := readBody(o.file)
	if err != nil {
		return err
	}
	if raw == nil {
		return usageError("--request FILE is required")
	}
	at := time.Now()
	if o.now != 0 {
		at = time.Unix(o.now, 0)
	}
	l.useCaptured(ctx, a.warnf)
	guard, err := egress.NewGuard(l.project.Egress.Allow)
	if err != nil {
		return usageError("%v", err)
	}
	outside := &triggers.Deps{Secret: l.secrets.Lookup, Fetch: fetcher(guard.Client())}
	if o.from != "" {
		if outside.From, err = netip.ParseAddr(o.from); err != nil {
			return usageError("--from %q is not an IP address: write 203.0.113.5 or 2001:db8::1", o.from)
		}
	}
	v, err := triggers.Verify(l.project, trigger, outside, raw, o.url, at)
	if err != nil {
		return usageError("%v", err)
	}
	return a.printVerdict(v)
}

func (a *app) printVerdict(v *triggers.Verdict) error {
	if a.json() {
		if err := a.printJSON(v); err != nil {
			return err
		}
	} else {
		switch v.Result {
		case "accepted":
			a.printf("accepted: event %s of type %s\n  identified by %s, for %s\n", printable(v.Event.Key), printable(v.Event.Type),
				identityPhrase(v.Event.Identity), v.Event.Dedupe)
			if v.Event.Flag != "" {
				a.printf("  note: %s\n", printable(v.Event.Flag))
			}
		case "handshake":
			a.printf("handshake: answered %s\n", strings.TrimSpace(strconv.Itoa(v.Response.Status)+" "+printable(v.Response.Body)))
		default:
			a.printf("refused: %s\n", printable(v.Reason))
			if v.Diagnosis != "" {
				a.printf("  %s\n", printable(v.Diagnosis))
			}
		}
		for _, n := range v.Notes {
			a.printf("  note: %s\n", printable(n))
		}
	}
	if v.Result == "refused" {
		return &exitError{exitFailure, fmt.Errorf("")}
	}
	return nil
}
