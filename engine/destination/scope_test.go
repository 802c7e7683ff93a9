package destination

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// TestReceiversOfASharedHostAreSeparate, and no name holds the token of an address.
func TestReceiversOfASharedHostAreSeparate(t *testing.T) {
	for _, c := range []struct{ origin, path, want string }{
		{"https://discord.com", "/api/webhooks/123/token", "https://discord.com/api/webhooks/123"},
		{"https://hooks.slack.com", "/services/T1/B2/secret", "https://hooks.slack.com/services/T1/B2"},
		{"https://hooks.zapier.com", "/hooks/catch/77/abc/", "https://hooks.zapier.com/hooks/catch/77"},
		{"https://hooks.slack.com", "/services/T1/B2", "https://hooks.slack.com"},
		{"https://discord.com", "/api/web%20hooks/1/x", "https://discord.com"},
		{"https://api.example", "/a/b/c/d", "https://api.example"},
		{"https://discordapp.com", "/api/webhooks/1/token", "https://discordapp.com/api/webhooks/1"},
		{"https://canary.discord.com", "/api/webhooks/1/token", "https://canary.discord.com/api/webhooks/1"},
		{"https://ptb.discord.com", "/api/webhooks/1/token", "https://ptb.discord.com/api/webhooks/1"},
		{"https://maker.ifttt.com", "/trigger/paid/with/key/secret", "https://maker.ifttt.com/trigger/paid"},
		{"https://Hooks.Slack.com:443", "/services/T1/B2/secret", "https://Hooks.Slack.com:443/services/T1/B2"},
		{"https://hooks.slack.com", "/services/" + strings.Repeat("T", 64) + "/B2/s",
			"https://hooks.slack.com/services/" + strings.Repeat("T", 64) + "/B2"},
		{"https://hooks.slack.com", "/services/" + strings.Repeat("T", 65) + "/B2/s", "https://hooks.slack.com"},
		{"https://[::1]", "/a/b/c/d", "https://[::1]"},
		{"https://hooks.slack.com.", "/services/T1/B2/secret", "https://hooks.slack.com/services/T1/B2"},
		{"https://api.example.:8443", "/a", "https://api.example:8443"},
	} {
		if got := Scope(c.origin, c.path); got != c.want {
			t.Errorf("%s%s: %s", c.origin, c.path, got)
		}
	}
}

// take reports whether a permit can be had, and gives it back.
func take(table *Table, name string, run int64) bool {
	p, h := table.Acquire(name, workflows.Limit{}, run)
	p.Release(Outcome{Status: 200})
	return h == nil
}

// TestPausedReceiverHoldsNoOther of a host that they share; a host with bounds of its own
// is one.
func TestPausedReceiverHoldsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := "https://hooks.slack.com/services/T/1", "https://hooks.slack.com/services/T/2"
		for _, limits := range []map[string]workflows.Limit{nil, {"hooks.slack.com": {Concurrency: 10}}} {
			table := newCrowd().table
			table.Use(limits)
			p, h := table.Acquire(one, workflows.Limit{}, 1)
			if h != nil {
				t.Fatal(h)
			}
			if p.Name() != "https://hooks.slack.com" {
				t.Errorf("named %s in metrics", p.Name())
			}
			p.Release(Outcome{Status: 429, RetryAfter: time.Minute})
			if take(table, one, 2) || take(table, other, 3) != (limits == nil) {
				t.Errorf("limits %v: the wrong one is held", limits)
			}
		}
	})
}

// TestAHoldCanBeLifted, and is shown until then.
func TestAHoldCanBeLifted(t *testing.T) {
	for _, by := range []string{"https://api.example", "api.example", "https://api.example/"} {
		synctest.Test(t, func(t *testing.T) {
			table := newCrowd().table
			p, _ := table.Acquire("https://api.example", workflows.Limit{}, 1)
			p.Release(Outcome{Status: 429, RetryAfter: time.Minute})
			s := table.States()[0]
			if s.Until == nil || time.Until(*s.Until) != time.Minute || s.Why == "" || table.Lift("other.example") != 0 {
				t.Errorf("held: %+v", s)
			}
			if n := table.Lift(by); n != 1 || !take(table, "https://api.example", 2) || table.States()[0].Until != nil || table.Lift(by) != 0 {
				t.Errorf("%s lifted %d: %+v", by, n, table.States()[0])
			}
		})
	}
}

// TestAnOpenCircuitCanBeClosed by a person who knows that the host is back.
func TestAnOpenCircuitCanBeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		table := c.table
		for range breakerFailures {
			p, h := table.Acquire("https://api.example", workflows.Limit{}, 1)
			if h != nil {
				t.Fatal(h)
			}
			p.Release(Outcome{Failed: true, Message: "no answer"})
		}
		if s := table.States()[0]; s.Circuit != "open" || s.Why != "it does not answer" || take(table, "https://api.example", 2) {
			t.Errorf("%+v", s)
		}
		lifted := table.Lift("api.example")
		time.Sleep(time.Second) // the run that waited makes its attempt
		c.mu.Lock()
		done := c.done
		c.mu.Unlock()
		if lifted != 1 || done != 1 || table.States()[0].Circuit != "closed" {
			t.Errorf("lifted %d, %d done: %+v", lifted, done, table.States()[0])
		}
	})
}

// TestOneReceiverIsResumedAlone, and all of a host by the host's name.
func TestOneReceiverIsResumedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := "https://hooks.slack.com/services/T/1", "https://hooks.slack.com/services/T/2"
		for by, want := range map[string]int{one: 1, "https://hooks.slack.com": 2, "hooks.slack.com": 2,
			"https://hooks.slack.com/services/T": 0} {
			table := newCrowd().table
			for i, name := range []string{one, other} {
				p, _ := table.Acquire(name, workflows.Limit{}, int64(i+1))
				p.Release(Outcome{Status: 429, RetryAfter: time.Minute})
			}
			if n := table.Lift(by); n != want {
				t.Errorf("%s lifts %d, expected %d", by, n, want)
			}
		}
	})
}

// TestOriginsOfADestination are those under which its attempts are stored.
func TestOriginsOfADestination(t *testing.T) {
	for _, c := range []struct {
		name   string
		scoped bool
		want   []string
	}{
		{"api.example", false, []string{"https://api.example", "http://api.example"}},
		{"api.example/", false, []string{"https://api.example", "http://api.example"}},
		{"https://api.example:8443/", false, []string{"https://api.example:8443"}},
		{"https://hooks.slack.com/services/T/1", true, []string{"https://hooks.slack.com"}},
		{"https://hooks.slack.com/services/T/1", false, nil},
	} {
		if got := Origins(c.name, c.scoped); !slices.Equal(got, c.want) {
			t.Errorf("%s, scoped %t: %v", c.name, c.scoped, got)
		}
	}
}

// TestLimitAppliesToEverySpellingOfItsHost: with or without the port that the scheme has anyway, and
// for mail servers and databases, whose names always have a port.
func TestLimitAppliesToEverySpellingOfItsHost(t *testing.T) {
	for _, c := range []struct {
		key, name string
		want      bool
	}{
		{"api.example.com", "https://api.example.com", true},
		{"api.example.com", "http://api.example.com", true},
		{"api.example.com", "https://api.example.com:8443", true},
		{"api.example.com", "smtp://api.example.com:587", true},
		{"db.example.com", "postgres://DB.example.com:5432", true},
		{"api.example.com:443", "https://api.example.com", true},
		{"api.example.com:80", "http://api.example.com", true},
		{"api.example.com:443", "http://api.example.com", false},
		{"api.example.com:443", "https://api.example.com:8443", false},
		{"api.example.com:8443", "https://api.example.com:8443", true},
		{"api.example.com:8443", "https://api.example.com", false},
		{"[::1]", "https://[::1]", true},
		{"[::1]", "https://[::1]:8443", true},
		{"[::1]:443", "https://[::1]", true},
		{"example.com", "https://api.example.com", false},
		{"hooks.slack.com:443", "https://hooks.slack.com/services/T/B", true},
		{"xn--bcher-kva.example", Scope("https://bücher.example", "/x"), true},
		{"xn--bcher-kva.example", Scope("https://BÜCHER.example.:8443", ""), true},
		{"xn--bcher-kva.example:8443", Scope("https://bu\u0308cher.example:8443", ""), true},
		{"xn--bcher-kva.example", Scope("smtp://bücher\u3002example:587", ""), true},
		{"xn--bcher-kva.example", Scope("https://XN--BCHER-KVA.example", ""), true},
		{"xn--bcher-kva.example", Scope("https://bucher.example", ""), false},
	} {
		table := newCalled().Table
		table.Use(map[string]workflows.Limit{c.key: {Concurrency: 1}})
		p, _ := table.Acquire(c.name, workflows.Limit{}, 1)
		_, second := table.Acquire(c.name, workflows.Limit{}, 2)
		if p == nil || (second != nil) != c.want {
			t.Errorf("%s, limited by %s: %v, want %t", c.name, c.key, second != nil, c.want)
		}
	}
}

// TestBothSpellingsOfAnInternationalHostAreOneDestination: they share one limit, and are resumed together.
func TestBothSpellingsOfAnInternationalHostAreOneDestination(t *testing.T) {
	table := newCalled().Table
	table.Use(map[string]workflows.Limit{"xn--bcher-kva.example": {Concurrency: 1}})
	first, _ := table.Acquire(Scope("https://bücher.example", "/a"), workflows.Limit{}, 1)
	_, second := table.Acquire(Scope("https://xn--bcher-kva.example", "/b"), workflows.Limit{}, 2)
	if first == nil || second == nil {
		t.Errorf("%v, %v: want one permit", first, second)
	}
	if got := Scope("https://a\u2260b.example:81", "/x"); got != "https://a\u2260b.example:81" {
		t.Errorf("a name that has no ASCII form: %q", got)
	}
	want := []string{"https://xn--bcher-kva.example", "http://xn--bcher-kva.example"}
	if got := Origins("bücher.example", false); !slices.Equal(got, want) {
		t.Errorf("origins: %v", got)
	}
}

// TestPortLimitOverridesTheHostLimit, whatever their order.
func TestPortLimitOverridesTheHostLimit(t *testing.T) {
	table := newCalled().Table
	table.Use(map[string]workflows.Limit{"a.example": {Concurrency: 1}, "a.example:8443": {Concurrency: 2},
		"a.example:443": {Concurrency: 3}})
	for name, want := range map[string]int{"https://a.example:8443": 2, "https://a.example": 3, "http://a.example": 1,
		"http://a.example:81": 1} {
		if l, _ := table.limitOf(name); l.Concurrency != want {
			t.Errorf("%s: %d, want %d", name, l.Concurrency, want)
		}
	}
}
