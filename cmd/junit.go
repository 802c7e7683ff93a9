package cmd

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"
)

// writeJUnit writes results to a file in the format that CI services read.
func writeJUnit(file string, results []testResult) error {
	raw, err := junitText(results)
	if err == nil {
		err = os.WriteFile(file, raw, 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// junitText returns results as JUnit XML.
func junitText(results []testResult) ([]byte, error) {
	type failure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type skipped struct {
		Message string `xml:"message,attr"`
	}
	type testcase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		File    string   `xml:"file,attr"`
		Time    string   `xml:"time,attr"`
		Failure *failure `xml:"failure,omitempty"`
		Skipped *skipped `xml:"skipped,omitempty"`
	}
	type suite struct {
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Cases    []testcase `xml:"testcase"`
	}
	var doc struct {
		XMLName  xml.Name `xml:"testsuites"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Suites   []*suite `xml:"testsuite"`
	}
	byName := map[string]*suite{}
	for _, r := range results {
		s := byName[r.Workflow]
		if s == nil {
			s = &suite{Name: r.Workflow}
			byName[r.Workflow] = s
			doc.Suites = append(doc.Suites, s)
		}
		c := testcase{Class: r.Workflow, Name: r.Name, File: r.File, Time: fmt.Sprintf("%.6f", r.Seconds)}
		s.Tests++
		doc.Tests++
		switch {
		case r.Skipped != "":
			s.Skipped++
			c.Skipped = &skipped{Message: r.Skipped}
		case !r.OK:
			s.Failures++
			doc.Failures++
			c.Failure = &failure{Message: r.Failures[0], Text: strings.Join(r.Failures, "\n")}
		}
		s.Cases = append(s.Cases, c)
	}
	raw, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), append(raw, '\n')...), nil
}
