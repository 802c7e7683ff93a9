package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
)

// fakes are the external services of the examples, as real HTTP servers on loopback: a CRM with
// HubSpot's API, a fulfilment service, a chat with Slack's API, and a deploy service that checks
// Standard Webhooks signatures. They check what they receive, and record mistakes as faults.
type fakes struct {
	server   *http.Server
	base     string
	ended    chan error
	secrets  map[string]string
	verifier *signature.Verifier
	key      signature.Key

	mu     sync.Mutex
	calls  []call
	faults []string
	// refuseFirst makes fulfilment answer 503 to the first request for each order.
	refuseFirst map[string]bool
}

// call is a request that a fake received.
type call struct {
	Service, Method, Path, Key string
	Body                       map[string]any
}

// fakeURLs are the URLs in the example projects, by service.
var fakeURLs = map[string]string{"https://fulfilment.example.com": "fulfilment", "https://api.hubapi.com": "crm",
	"https://slack.com/api":      "chat",
	"https://deploy.example.com": "deploy", "https://crm.example.com": "leads", "https://documents.example.com": "documents"}

// newFakes starts the services; secrets are the tokens that they expect.
func newFakes(secrets map[string]string) (*fakes, error) {
	v, err := signature.Compile(signature.Standard())
	if err != nil {
		return nil, err
	}
	key, err := v.StandardKey(secrets["DEPLOY_SIGNING_SECRET"])
	if err != nil {
		return nil, fmt.Errorf("deploy service: %w", err)
	}
	s := &fakes{secrets: secrets, verifier: v, key: key, refuseFirst: map[string]bool{}, ended: make(chan error, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fulfilment/v1/orders/{id}/release", s.guarded("fulfilment", "Authorization", "Bearer "+secrets["FULFILMENT_TOKEN"],
		s.release))
	mux.HandleFunc("/crm/crm/v3/objects/", s.guarded("crm", "Authorization", "Bearer "+secrets["HUBSPOT_TOKEN"], s.crm))
	mux.HandleFunc("POST /chat/chat.postMessage", s.guarded("chat", "Authorization", "Bearer "+secrets["SLACK_TOKEN"], s.chat))
	mux.HandleFunc("POST /deploy/hooks/source", s.guarded("deploy", "", "", s.deploy))
	mux.HandleFunc("PUT /leads/leads/{email}", s.guarded("leads", "X-Api-Key", secrets["CRM_TOKEN"], s.lead))
	mux.HandleFunc("/documents/v1/", s.documents)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the fakes: %w", err)
	}
	s.base = "http://" + l.Addr().String()
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { s.ended <- s.server.Serve(l) }()
	return s, nil
}

// rewrite replaces the URLs in an example by those of the fakes.
func (s *fakes) rewrite(text string) string {
	for u, service := range fakeURLs {
		text = strings.ReplaceAll(text, u, s.base+"/"+service)
	}
	return text
}

func (s *fakes) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if e := <-s.ended; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

func (s *fakes) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

func (s *fakes) took() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]call(nil), s.calls...)
}

func (s *fakes) wrong() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.faults...)
}

// guarded reads a request, checks its credential, and records it.
func (s *fakes) guarded(service, header, want string, do func(http.ResponseWriter, *http.Request, []byte,
	map[string]any)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			s.fault("%s: body: %v", service, err)
		}
		var body map[string]any
		if err := json.Unmarshal(raw, &body); err != nil {
			s.fault("%s %s: the body is no JSON object: %v", r.Method, r.URL.Path, err)
		}
		if header != "" && r.Header.Get(header) != want {
			s.fault("%s %s: wrong credential in %s", r.Method, r.URL.Path, header)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		key := r.Header.Get("Idempotency-Key")
		if key == "" {
			key = r.Header.Get("webhook-id")
		}
		if key == "" {
			s.fault("%s %s: no idempotency key", r.Method, r.URL.Path)
		}
		s.mu.Lock()
		s.calls = append(s.calls, call{service, r.Method, strings.TrimPrefix(r.URL.Path, "/"+service), key, body})
		s.mu.Unlock()
		do(w, r, raw, body)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // on failure the client has disconnected
}

// release fails the first request for an order, to show a retry.
func (s *fakes) release(w http.ResponseWriter, r *http.Request, _ []byte, body map[string]any) {
	id := r.PathValue("id")
	s.mu.Lock()
	refuse := s.refuseFirst != nil && !s.refuseFirst[id]
	if s.refuseFirst != nil {
		s.refuseFirst[id] = true
	}
	s.mu.Unlock()
	if refuse {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "the warehouse is busy"})
		return
	}
	if amount, ok := body["amount"].(string); !ok || !decimalAmount.MatchString(amount) {
		s.fault("fulfilment: amount is no decimal text: %v", body["amount"])
	}
	writeJSON(w, http.StatusCreated, map[string]string{"shipment_id": "S-" + id})
}

func (s *fakes) crm(w http.ResponseWriter, r *http.Request, _ []byte, body map[string]any) {
	switch p := strings.TrimPrefix(r.URL.Path, "/crm/crm/v3/objects/"); {
	case p == "contacts/batch/upsert" && r.Method == http.MethodPost:
		writeJSON(w, 200, map[string]any{"status": "COMPLETE", "results": []any{map[string]any{"id": "51", "new": true}}})
	case p == "deals" && r.Method == http.MethodPost:
		if body["properties"] == nil {
			s.fault("crm: a deal without properties")
		}
		writeJSON(w, 201, map[string]any{"id": "882"})
	case strings.HasPrefix(p, "deals/") && r.Method == http.MethodPatch:
		writeJSON(w, 200, map[string]any{"id": strings.TrimPrefix(p, "deals/"), "updatedAt": "2026-01-01T10:00:01Z"})
	default:
		s.fault("crm: unexpected %s %s", r.Method, p)
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *fakes) chat(w http.ResponseWriter, _ *http.Request, _ []byte, body map[string]any) {
	if body["channel"] == nil || body["text"] == nil {
		s.fault("chat: channel or text is missing")
		writeJSON(w, 200, map[string]any{"ok": false, "error": "no_text"})
		return
	}
	writeJSON(w, 200, map[string]any{"ok": true, "ts": "1767225600.000100", "channel": "C024BE91L"})
}

// deploy checks the signature of Standard Webhooks, as its receivers should.
func (s *fakes) deploy(w http.ResponseWriter, r *http.Request, raw []byte, body map[string]any) {
	v := s.verifier.Verify(&signature.Request{Method: r.Method, Header: r.Header, Body: raw}, []signature.Key{s.key}, time.Now())
	if !v.OK() {
		s.fault("deploy: the webhook's signature: %s", v.Reason)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if body["type"] != "source.pushed" {
		s.fault("deploy: type is %v", body["type"])
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *fakes) lead(w http.ResponseWriter, r *http.Request, _ []byte, body map[string]any) {
	if _, ok := body["score"].(float64); !ok {
		s.fault("leads: score is no number")
	}
	writeJSON(w, http.StatusCreated, map[string]string{"id": "lead-" + r.PathValue("email")})
}

// decimalAmount matches an amount with two decimals, as services with exact amounts require.
var decimalAmount = regexp.MustCompile(`^\d+\.\d\d$`)

// document is what the documents service returns for each invoice.
const document = "%PDF-1.4 an invoice"

// documents creates PDFs and archives them. Its archive accepts only those.
func (s *fakes) documents(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		s.fault("documents: body: %v", err)
	}
	if r.Header.Get("Authorization") != "Bearer "+s.secrets["DOCUMENTS_TOKEN"] {
		s.fault("documents: wrong credential")
	}
	s.mu.Lock()
	s.calls = append(s.calls, call{Service: "documents", Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, "/documents"),
		Key: r.Header.Get("Idempotency-Key")})
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/pdf")
	switch {
	case r.Method == http.MethodPost:
		_, _ = io.WriteString(w, document) // on failure the client has disconnected
	case string(raw) != document || r.Header.Get("Content-Type") != "application/octet-stream":
		s.fault("documents: %d bytes of %s are to be filed", len(raw), r.Header.Get("Content-Type"))
	}
}
