package openapi

import "github.com/hookloom/hookloom/workflows"

// service is the content of a document, whatever its format.
type service struct {
	title, description, docs string
	server                   server
	others                   []string
	auth                     *auth
	ops                      []*operation
	// failed are operations that cannot be expressed.
	failed []Skipped
	// tags and names are those of the operations that are not selected.
	tags, names []string
}

// server is a base URL, with its variables as ${{ connection.NAME }}.
type server struct {
	url       string
	variables []variable
}

type variable struct {
	name, initial, help string
	options             []any
}

// auth is how to authenticate; nil for none.
type auth struct {
	// text is auth: of the file, in lines; fields are the connection's fields.
	text   string
	fields []string
	// header and query are the names that carry a key, which cannot be inputs.
	header, query string
}

// operation is one operation of the API.
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

// input is a parameter that a caller sets.
type input struct {
	// name is the input's name, sent the service's name for it; in is path, query, header or body.
	name, sent, in string
	kind, of       string
	required       bool
	help           string
	options        []any
	min, max       any
	initial        any // the document's default
	example        any
	hasExample     bool
}

// content is the body of a request.
type content struct {
	// key is the key of action_request: body, form, multipart, text or raw_file.
	key string
	// whole is the input that is the complete body; nil if the inputs are its fields.
	whole *input
	// media is a Content-Type that must be set explicitly.
	media string
}

// Skipped is an operation that was not imported, with the reason.
type Skipped struct {
	Operation string `json:"operation"`
	Reason    string `json:"reason"`
}
