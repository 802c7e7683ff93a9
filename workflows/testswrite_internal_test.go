package workflows

import "testing"

// TestARecordedTestExtendsTheFile checks that a file of tests stays one: the test is added at the indent
// of the others, and a file that cannot be extended is refused.
func TestARecordedTestExtendsTheFile(t *testing.T) {
	for _, x := range []struct{ text, want string }{
		{"", "tests:\n  - name: b\n    now: 1\n"},
		{"tests:\n  - name: a\n", "tests:\n  - name: a\n  - name: b\n    now: 1\n"},
		{"tests:\n- name: a", "tests:\n- name: a\n- name: b\n  now: 1\n"},
		{"tests:\n    - name: a\n", "tests:\n    - name: a\n    - name: b\n      now: 1\n"},
		{"# of orders\n- name: a\n", "# of orders\n- name: a\n- name: b\n  now: 1\n"},
		{"tests: [{name: a}]\n", ""},
		{"tests:\n  - name: a\nvars: {x: 1}\n", ""},
		{"tests:\n  - name: [a\n", ""},
	} {
		got, ok := withTest(x.text, []string{"name: b", "now: 1"})
		if got != x.want || ok != (x.want != "") {
			t.Errorf("%q becomes %q, want %q", x.text, got, x.want)
		}
	}
}
