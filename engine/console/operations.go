package console

// Operation is a call of the API, for the manual.
type Operation struct {
	Method, Path, About string
	// Query are the names of its query parameters.
	Query []string
}

// Operations lists the calls of the API in the order of its OpenAPI document.
func Operations() []Operation {
	var out []Operation
	for _, r := range (&Console{}).api() {
		out = append(out, Operation{Method: r.method, Path: r.path, About: r.about, Query: r.query})
	}
	return out
}
