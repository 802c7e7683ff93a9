//go:build unix

package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/actions"
)

// exampleService is a fake of every service in the examples: it responds with JSON, and stores
// objects like S3.
type exampleService struct {
	mu      sync.Mutex
	objects map[string][]byte
	asked   map[string]int // by method and path
}

// ServeHTTP implements http.Handler.
func (s *exampleService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[r.Method+" "+r.URL.Path]++
	body, _ := io.ReadAll(r.Body) // the run shows what is missing
	switch object, isObject := strings.CutPrefix(r.URL.Path, "/shop/"); {
	case r.URL.Query().Get("list-type") == "2":
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, `<ListBucketResult><Name>shop</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>`+
			`<Contents><Key>exports/2026/a.csv</Key><LastModified>2026-05-01T00:00:00Z</LastModified><ETag>"1"</ETag><Size>1</Size>`+
			`</Contents></ListBucketResult>`)
	case isObject && r.Method == http.MethodPut:
		s.objects[object] = body
		w.Header().Set("ETag", `"1"`)
	case isObject && s.objects[object] == nil:
		w.WriteHeader(http.StatusNotFound)
	case isObject:
		_, _ = w.Write(s.objects[object])
	default:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id": "1"}`)
	}
}

// exampleEvent has all fields that the examples read of an event. RUN is replaced by a waiting run.
const exampleEvent = `{"id": "A-7", "order": "A-7", "customer": "C-1", "sku": "S-1",
  "email": "ada@example.com", "total": 19.5, "user": "ada",
  "paid_at": "2026-05-01T10:00:00Z", "run": "RUN", "lines": [{"sku": "S-1", "amount": 2, "quantity": 1}],
  "file": "order;amount\nA-7;2", "xml": "<order><line><sku>S-1</sku></line></order>"}`

var exampleHost = regexp.MustCompile(`https://[a-z]+\.example\.com`)

// nativeExamples returns the examples of built-in actions other than connectors', as workflows by
// name.
func nativeExamples(t *testing.T, base string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range actions.Catalog().All() {
		if s.Connector == nil {
			out[strings.ReplaceAll(s.Name, "/", "_")] = "on: order\nsteps:\n" + exampleHost.ReplaceAllString(s.Usage, base)
		}
	}
	return out
}

// TestTheExampleOfEachNativeActionSucceeds runs the examples of hookloom actions NAME with real
// files, a real SQLite database, a real SMTP server, and a fake for HTTP and S3.
func TestTheExampleOfEachNativeActionSucceeds(t *testing.T) {
	realProcess(t)
	service := &exampleService{objects: map[string][]byte{"invoices/A-7.pdf": []byte("%PDF")}, asked: map[string]int{}}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	office := &postOffice{}
	files := map[string]string{
		"hookloom.yaml": fmt.Sprintf(`triggers: {order: {webhook: {auth: none, key: body.id}}, invoice_ready: {}}
egress: {allow: [127.0.0.1]}
files: {folder: data}
connections:
  sql: {url: "${{ secrets.SQL_URL }}"}
  s3: {endpoint: %s, bucket: shop, region: eu-central-1,
    access_key: "${{ secrets.S3_ACCESS_KEY }}", secret_key: "${{ secrets.S3_SECRET_KEY }}"}
  smtp: {host: 127.0.0.1, port: %s, tls: none, user: shop, password: "${{ secrets.SMTP_PASSWORD }}"}
`, server.URL, office.serve(t)),
		".env": "SQL_URL=sqlite:data/shop.db\nS3_ACCESS_KEY=AKIA0123456789\nS3_SECRET_KEY=s3-secret-0123456789\nSMTP_PASSWORD=" + mailPassword +
			"\nPARTNER_NEW=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nPARTNER_OLD=whsec_plJ3nmyCDGBKInavdOK15jsl\n",
		"data/prices.json":    `{"S-1": 2}`,
		"workflows/ship.yaml": "on: manual\nsteps:\n  - wait: {approval: \"Ship?\"}\n",
	}
	examples := nativeExamples(t, server.URL)
	if len(examples) < 25 {
		t.Fatalf("only %d examples", len(examples))
	}
	for name, text := range examples {
		files["workflows/"+name+".yaml"] = text
	}
	dir := t.TempDir()
	if err := exampleDatabase(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	p := newProjectIn(t, dir, files)
	process := p.start(t)
	if out, err := p.run("send", "ship"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	body := filepath.Join(dir, "order.json")
	event := strings.ReplaceAll(exampleEvent, "RUN", p.latest(t, "ship").ID)
	if err := os.WriteFile(body, []byte(event), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := p.run("send", "order", "--body", body); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.idle(t)
	for _, name := range append(slices.Sorted(maps.Keys(examples)), "ship") {
		if run := p.latest(t, name); run.Status != "succeeded" {
			t.Errorf("%s: %s: %s\n%s", name, run.Status, run.Error, examples[name])
		}
	}
	if len(office.messages) != 1 || service.objects["orders/A-7.json"] == nil || service.asked["POST /hooks"] != 1 {
		t.Errorf("mails %d, objects %d, asked %v", len(office.messages), len(service.objects), service.asked)
	}
	process.stop(t)
}

// exampleDatabase creates the database of the examples.
func exampleDatabase(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", filepath.Join(dir, "shop.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(`CREATE TABLE orders (id TEXT, status TEXT, paid_at TEXT); INSERT INTO orders VALUES ('A-7', 'open', NULL);
		CREATE TABLE customers (id TEXT, email TEXT, tier TEXT); INSERT INTO customers VALUES ('C-1', 'ada@example.com', 'gold')`)
	return err
}

// listedRun is a run as hookloom runs -o json lists it.
type listedRun struct{ ID, Status, Error string }

// latest returns the last run of a workflow.
func (p *project) latest(t *testing.T, workflow string) listedRun {
	t.Helper()
	out, err := p.run("runs", "--workflow", workflow, "-o", "json")
	var page struct{ Items []listedRun }
	if err == nil {
		err = json.Unmarshal([]byte(out), &page)
	}
	if err != nil || len(page.Items) == 0 {
		t.Fatalf("%s: %v\n%s", workflow, err, out)
	}
	return page.Items[0]
}
