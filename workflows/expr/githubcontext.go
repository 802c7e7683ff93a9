package expr

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
)

// fieldName matches a name that can follow a dot.
var fieldName = lazyregexp.New(`^[A-Za-z_]\w*$`)

// githubContext maps fields of the context github of GitHub Actions to the same value here: in the
// webhook's payload, the event or the run.
var githubContext = map[string]string{
	"event_name": "event.type", "event": "event.data",
	"actor": "event.data.sender.login", "triggering_actor": "event.data.sender.login", "actor_id": "event.data.sender.id",
	"ref": "event.data.ref", "sha": "event.data.after", "ref_name": `trimPrefix(event.data.ref, "refs/heads/")`,
	"ref_type": `(event.data.ref startsWith "refs/tags/" ? "tag" : "branch")`,
	"head_ref": "event.data.pull_request.head.ref", "base_ref": "event.data.pull_request.base.ref",
	"repository": "event.data.repository.full_name", "repository_id": "event.data.repository.id",
	"repository_owner": "event.data.repository.owner.login", "repository_owner_id": "event.data.repository.owner.id",
	"repositoryUrl": "event.data.repository.git_url", "repository_visibility": "event.data.repository.visibility",
	"run_id": "run.id", "run_attempt": "run.attempt", "workflow": "run.workflow", "token": "secrets.GITHUB_TOKEN",
	"server_url": `"https://github.com"`, "api_url": `"https://api.github.com"`, "graphql_url": `"https://api.github.com/graphql"`,
}

// githubNotes say for which events a field has the value.
var githubNotes = map[string]string{
	"event_name": "; with an action it is such as pull_request.opened", "ref": " (of a push)", "sha": " (of a push)",
	"ref_name": " (of a push to a branch)", "ref_type": " (of a push)", "head_ref": " (of a pull request)",
	"base_ref": " (of a pull request)",
}

// otherContext reports a path that begins with the context of GitHub Actions or with $json of n8n,
// and the path here.
func (l *linter) otherContext(id *ast.IdentifierNode, keys []string, at []ast.Node) bool {
	if _, ok := l.sc.Names["event"]; !ok || len(keys) == 0 {
		return false
	}
	path, note := "", ""
	switch id.Value {
	case "github":
		path, note = githubContext[keys[0]], githubNotes[keys[0]]
		root, _, _ := strings.Cut(path, ".")
		if _, visible := l.sc.Names[root]; path == "" || !visible && fieldName.MatchString(root) {
			return false
		}
		if keys[0] == "event" && len(keys) > 1 {
			path += dotted(keys[1:])
		}
	case "$json":
		switch keys[0] {
		case "body":
			path = "event.data" + dotted(keys[1:])
		case "headers", "query":
			path = "event." + keys[0] + dotted(keys[1:])
		default:
			path = "event.data" + dotted(keys)
		}
	default:
		return false
	}
	from, last, text := id.Location().From, at[len(at)-1].Location(), []rune(l.e.Text)
	to := max(last.To, last.From+1)
	if to < len(text) && text[to] == ']' {
		to++
	}
	l.failed = true
	l.e.report("foreign-name", false, from, to, "unknown name "+id.Value, "write "+path+note)
	return true
}

// dotted returns the keys of a path after its root.
func dotted(keys []string) string {
	var out strings.Builder
	for _, k := range keys {
		if fieldName.MatchString(k) {
			out.WriteString("." + k)
		} else {
			fmt.Fprintf(&out, "[%q]", k)
		}
	}
	return out.String()
}
