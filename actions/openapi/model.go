package openapi

import "github.com/hookloom/hookloom/workflows"

// service is what a document says of a service, whatever its format.
type service struct {
	title, description, docs string
	server                   server
	others                   []string
	auth                     *auth
	ops                      []*operation
	// failed are operations that cannot be expressed.
	failed []Skipped
}

// server is a base URL with its variables as ${{ connection.NAME }}.
type server struct {
	url       string
	variables []variable
}

type variable struct {
	name, initial, help string
	options             []any
}

// auth is how the service is asked; nil for none.
type auth struct {
	// text is auth: of the file, in lines; fields are those of the connection.
	text   string
	fields []string
	// header and query are where a key is sent, which no input may be.
	header, query string
}

// operation is one call.
type operation struct {
	id, method, path      string
	summary, docs         string
	deprecated            bool
	tags                  []string
	inputs                []*input
	content               *content
	returns               *workflows.DataType
	returnsList           bool
	pages                 *paging
	status                int
	response              any
	hasResponse, noBody   bool
	idempotencyHeader     string
	fixedQuery, fixedHead map[string]string
}

// input is one value that a caller gives.
type input struct {
	// name is the input's, sent the service's own name for it; in is path, query, header or
	// body.
	name, sent, in string
	kind, of       string
	required       bool
	help           string
	options        []any
	min, max       any
	initial        any // the default that the document gives
	example        any
	hasExample     bool
}

// content is the body of a request.
type content struct {
	// key is the one of action_request: body, form, multipart, text or raw_file.
	key string
	// whole is the input that is the whole body; nil when the inputs are its fields.
	whole *input
	// media is a Content-Type that must be said.
	media string
}

// Skipped is an operation that was left out, and why.
type Skipped struct {
	Operation string `json:"operation"`
	Reason    string `json:"reason"`
}
