package workflows

import (
	"fmt"
	"net/netip"
	"time"
)

// Trigger is a named stream of events with its inlets.
type Trigger struct {
	Name      string
	File      string
	Pos       Pos
	Webhook   *Webhook
	Poll      *Poll
	Schedules []*Schedule
	src       *source
	// remembered is how long it remembered keys when a run began, where it is gone.
	remembered time.Duration
}

// Starts reports whether the trigger's events start runs; those of others only end
// waits.
func (t *Trigger) Starts() bool {
	switch {
	case t.Webhook != nil:
		return t.Webhook.Start
	case t.Poll != nil:
		return t.Poll.Start
	case len(t.Schedules) > 0:
		return t.Schedules[0].Start
	}
	return true
}

// Dedupe is how long the trigger remembers keys; 0 means never.
func (t *Trigger) Dedupe() time.Duration {
	switch {
	case t.Webhook != nil:
		return t.Webhook.Dedupe
	case t.Poll != nil:
		return t.Poll.Dedupe
	}
	return DefaultDedupe
}

// Polled names the trigger's inlets that ask: poll, reconcile.
func (t *Trigger) Polled() []string {
	var out []string
	if t.Poll != nil {
		out = append(out, "poll")
	}
	if t.Webhook != nil && t.Webhook.Reconcile != nil {
		out = append(out, "reconcile")
	}
	return out
}

// InletCommon holds the keys that every inlet has.
type InletCommon struct {
	Key  []*Expr
	Data *Expr
	// Dedupe is how long keys are remembered; 0 means never (off). DedupeWritten tells
	// that the file says so.
	Dedupe        time.Duration
	DedupeWritten bool
	Sample        string
	Start         bool
	// Schema is what event.data has to fit; nil for anything.
	Schema *DataRule
}

// DefaultDedupe is how long a trigger remembers keys: longer than any provider
// repeats (Stripe and GitHub up to 3 days).
const DefaultDedupe = 30 * 24 * time.Hour

// DefaultRespondTimeout is how long a synchronous answer waits for its run, and
// LongestRespond the most that a file may say.
const (
	DefaultRespondTimeout = 10 * time.Second
	LongestRespond        = 5 * time.Minute
)

// Defaults of a webhook inlet, in bytes.
const (
	DefaultMaxBody = 1 << 20 // where neither trigger nor preset says more
	LargestMaxBody = 32 << 20
	// DefaultTimeout is how long a body may take to arrive.
	DefaultTimeout = 10 * time.Second
)

// Webhook is the inlet that providers call.
type Webhook struct {
	InletCommon
	Provider, Variant string
	CallbackURL       string
	Params            *Value
	Secrets           []*Value
	Auth              *Auth
	// AuthNone is true when the file says auth: none.
	AuthNone  bool
	Verify    *Verify
	Events    []string
	EventType *Expr
	Split     *Expr
	Path      string
	Methods   []string
	AllowIPs  []netip.Prefix
	// AllowProvider adds the addresses that the provider publishes.
	AllowProvider bool
	// MaxBody is in bytes; 0 for the default, see Project.MaxBody.
	MaxBody int64
	// Tolerance replaces the preset's; 0 leaves it.
	Tolerance time.Duration
	// RateLimit deliveries are taken per RatePer; 0 for any number.
	RateLimit int
	RatePer   time.Duration
	// Timeout is how long a body may take to arrive.
	Timeout time.Duration
	// Origins are those of web pages that may post from a browser; * is any.
	Origins []string
	// ClientCert demands a client certificate; ClientNames, when there are any, one
	// of those names.
	ClientCert  bool
	ClientNames []string
	// MethodsWritten reports whether method: is written; else a preset may have its own.
	MethodsWritten bool
	// MediaTypes replaces the preset's; none to leave it, or to read a body as it is
	// declared.
	MediaTypes []string
	// hasSecret reports whether secret: is written, be it with mistakes.
	hasSecret bool
	Respond   *Respond
	// Reconcile asks for what the webhook missed; nil for not at all.
	Reconcile *Poll
	// Expect is how long the trigger may be quiet; 0 for ever, Learned for as long as
	// it has been.
	Expect time.Duration
	// ReplaysBody makes an equal type and body within Dedupe the same event (replays:
	// body).
	ReplaysBody bool
	pos         Pos
	pathPos     Pos
	keyPos      Pos
	// providerPos and eventsPos are where those values stand.
	providerPos, eventsPos Pos
}

// Learned is the Expect of a trigger whose longest gap is learned from its history.
const Learned = time.Duration(-1)

// SecretLabels names the secrets that prove a delivery, in their order: by the
// name of the secret, else by position.
func (w *Webhook) SecretLabels() []string {
	var out []string
	label := func(v *Value, position string) {
		if n := v.SecretName(); n != "" {
			position = n
		}
		out = append(out, position)
	}
	for i, s := range w.Secrets {
		label(s, fmt.Sprintf("secret %d", i+1))
	}
	if a := w.Auth; a != nil {
		for _, v := range []*Value{a.Bearer, a.BasicPassword, a.HeaderValue, a.QueryValue} {
			if v != nil {
				label(v, "auth")
			}
		}
	}
	return out
}

// Respond is how the sender is answered.
type Respond struct {
	Sync    bool
	Timeout time.Duration
	Status  int
	Headers *Value
	Body    *Value
}

// Auth is a shared token in place of a signature, and how requests prove
// themselves to others.
type Auth struct {
	Bearer        *Value
	BasicUser     *Value
	BasicPassword *Value
	HeaderName    string
	HeaderValue   *Value
	QueryName     string
	QueryValue    *Value
	// The rest only connections and connectors have.
	OAuth2 *OAuth2
	JWT    *JWTBearer
	SigV4  *SigV4
	TLS    *ClientTLS
}

// Poll is the inlet that asks a service for what is new.
type Poll struct {
	InletCommon
	Provider string
	Every    time.Duration
	// Cron, in Timezone, is in place of Every; nil Timezone is the project's.
	Cron     string
	Timezone *time.Location
	// Request has the keys of http/request's with:.
	Request *Value
	// Detail is asked for each new item, where the list tells too little; nil for
	// nothing. Data reads its answer as detail.
	Detail *Value
	Items  *Expr
	// Cursor is what the next poll asks for; PerItem reports whether it reads item, so that
	// the greatest counts.
	Cursor  *Expr
	PerItem bool
	// Pages is how the next page is found. MaxPages bounds those of one poll; the next
	// poll goes on behind them.
	Pages    Paging
	MaxPages int
	// Backfill lets the first poll emit; Compare only records sightings.
	Backfill, Compare bool
	// MaxItems is how many events one poll makes; the rest come with the next.
	MaxItems int
	// Overlap is how far the request looks back behind the cursor.
	Overlap time.Duration
	// OverlapWritten reports whether the file says it, be it 0s.
	OverlapWritten bool
	// Setup, in a preset's listing, is the connection that it needs, as it is written.
	Setup string
	// WebhookKey, in a preset's listing, is the key of the webhook's deliveries in a
	// trigger that has both, where the list does not know the webhook's usual one.
	WebhookKey         []*Expr
	EventType          *Expr
	pos                Pos
	cronPos, cursorPos Pos
}

// Defaults of a poll inlet.
const (
	defaultMaxPages = 10
	defaultMaxItems = 500
)

// Schedule is one time table of a trigger.
type Schedule struct {
	InletCommon
	ID, Cron string
	// Timezone is nil for the project's.
	Timezone *time.Location
	// Missed is skip, once or all.
	Missed        string
	Every, Jitter time.Duration
	cronPos       Pos
}
