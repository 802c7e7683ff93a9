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
	// remembered is how long the trigger remembered keys when a run began, if it has been removed
	// since.
	remembered time.Duration
}

// Starts reports whether the trigger's events start runs; those of other triggers only end waits.
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

// Dedupe returns how long the trigger remembers keys; 0 means never.
func (t *Trigger) Dedupe() time.Duration {
	switch {
	case t.Webhook != nil:
		return t.Webhook.Dedupe
	case t.Poll != nil:
		return t.Poll.Dedupe
	}
	return DefaultDedupe
}

// Polled returns the names of the trigger's polling inlets: poll, reconcile.
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

// InletCommon has the keys common to all inlets.
type InletCommon struct {
	Key  []*Expr
	Data *Expr
	// Dedupe is how long keys are remembered; 0 means never (off). DedupeWritten reports whether
	// the file sets it.
	Dedupe        time.Duration
	DedupeWritten bool
	Sample        string
	Start         bool
	// Schema is the schema of event.data; nil accepts anything.
	Schema *DataRule
}

// DefaultDedupe is how long a trigger remembers keys by default: longer than any provider retries
// (Stripe and GitHub up to 3 days).
const DefaultDedupe = 30 * 24 * time.Hour

// DefaultRespondTimeout is how long a synchronous response waits for its run; LongestRespond is the
// maximum that a file may set.
const (
	DefaultRespondTimeout = 10 * time.Second
	LongestRespond        = 5 * time.Minute
)

// Defaults of a webhook inlet, in bytes.
const (
	DefaultMaxBody = 1 << 20 // if neither trigger nor preset sets it
	LargestMaxBody = 32 << 20
	// DefaultTimeout is how long reading a body may take.
	DefaultTimeout = 10 * time.Second
)

// Webhook is the inlet that receives deliveries from providers.
type Webhook struct {
	InletCommon
	Provider, Variant string
	CallbackURL       string
	Params            *Value
	Secrets           []*Value
	Auth              *Auth
	// AuthNone is true if the file says auth: none.
	AuthNone  bool
	Verify    *Verify
	Events    []string
	EventType *Expr
	Split     *Expr
	Path      string
	Methods   []string
	AllowIPs  []netip.Prefix
	// AllowProvider also allows the addresses that the provider publishes.
	AllowProvider bool
	// MaxBody is in bytes; 0 for the default, see Project.MaxBody.
	MaxBody int64
	// Tolerance overrides the preset's; 0 keeps it.
	Tolerance time.Duration
	// RateLimit is the maximum number of deliveries per RatePer; 0 for no limit.
	RateLimit int
	RatePer   time.Duration
	// Timeout is how long reading a body may take.
	Timeout time.Duration
	// Origins are the origins of web pages that may post from a browser; * is any.
	Origins []string
	// ClientCert requires a client certificate; ClientNames, if not empty, are the accepted names.
	ClientCert  bool
	ClientNames []string
	// MethodsWritten reports whether method: is set; otherwise a preset may set it.
	MethodsWritten bool
	// MediaTypes overrides the preset's; empty keeps it, or parses a body by its declared type.
	MediaTypes []string
	// hasSecret reports whether secret: is present, even with mistakes.
	hasSecret bool
	Respond   *Respond
	// Reconcile lists what the webhook missed; nil if not used.
	Reconcile *Poll
	// Expect is how long the trigger may receive nothing; 0 for no limit, Learned for the longest
	// gap so far.
	Expect time.Duration
	// ReplaysBody treats an equal type and body within Dedupe as the same event (replays: body).
	ReplaysBody bool
	pos         Pos
	pathPos     Pos
	keyPos      Pos
	// providerPos and eventsPos are the positions of those values.
	providerPos, eventsPos Pos
	// eventPos are the positions of the elements of events.
	eventPos []Pos
}

// Learned is the Expect value of a trigger whose longest gap is learned from its history.
const Learned = time.Duration(-1)

// SecretLabels returns labels for the webhook's secrets, in order: the name of the secret, or else
// its position.
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

// Respond configures the response to the sender.
type Respond struct {
	Sync    bool
	Timeout time.Duration
	Status  int
	Headers *Value
	Body    *Value
}

// Auth is a shared token used instead of a signature, or how outbound requests authenticate.
type Auth struct {
	Bearer        *Value
	BasicUser     *Value
	BasicPassword *Value
	HeaderName    string
	HeaderValue   *Value
	QueryName     string
	QueryValue    *Value
	// Only connections and connectors have the following.
	OAuth2 *OAuth2
	JWT    *JWTBearer
	SigV4  *SigV4
	TLS    *ClientTLS
}

// Poll is the inlet that asks a service for new items.
type Poll struct {
	InletCommon
	Provider string
	Every    time.Duration
	// Cron, in Timezone, is used instead of Every; a nil Timezone is the project's.
	Cron     string
	Timezone *time.Location
	// Request has the keys of with: of http/request.
	Request *Value
	// Detail is a request for each new item, if the list contains too little; nil if not needed.
	// Data reads its response as detail.
	Detail *Value
	Items  *Expr
	// Cursor is what the next poll asks for; PerItem reports whether it reads item, in which case
	// the largest value counts.
	Cursor  *Expr
	PerItem bool
	// Pages says how to find the next page. MaxPages limits the pages of one poll; the next poll
	// continues after them.
	Pages    Paging
	MaxPages int
	// Backfill lets the first poll create events; Compare only records which items were seen.
	Backfill, Compare bool
	// MaxItems is the maximum number of events of one poll; the rest follow with the next.
	MaxItems int
	// Overlap is how far the request looks back before the cursor.
	Overlap time.Duration
	// OverlapWritten reports whether the file sets it, even to 0s.
	OverlapWritten bool
	// Setup, in a preset's listing, is the YAML of the connection that it needs.
	Setup string
	// WebhookKey, in a preset's listing, is the key of webhook deliveries if a trigger has both
	// inlets and the list does not contain the webhook's usual key.
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

// Schedule is one schedule of a trigger.
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
