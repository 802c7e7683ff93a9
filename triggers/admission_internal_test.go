package triggers

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// TestAddressStaysVerifiedForADay: an address that never sent a genuine delivery is not proved,
// and one that did is so until proofHolds has passed.
func TestAddressStaysVerifiedForADay(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		at   time.Time
		want bool
	}{
		{time.Time{}, false}, {now, true}, {now.Add(time.Second - proofHolds), true}, {now.Add(-proofHolds), false},
	} {
		x := newCaller()
		if !c.at.IsZero() {
			x.provedAt.Store(c.at.Unix())
		}
		if got := x.proves(now); got != c.want {
			t.Errorf("proved at %v: %v at %v", c.at, got, now)
		}
	}
	early := newCaller()
	if early.proves(time.Unix(1, 0)) {
		t.Error("an address without any delivery is proved by a clock near 1970")
	}
}

// TestAddressWithManyFailuresIsVerifiedInTurn: above the burst, until failures have drained
// by their rate; not an address that is proved.
func TestAddressWithManyFailuresIsVerifiedInTurn(t *testing.T) {
	a, c, now := newAdmission(), newCaller(), time.Unix(1_800_000_000, 0)
	for range failuresBurst - 1 {
		a.failed(c, now)
	}
	if a.floods(c, now) {
		t.Error("one failure below the burst is a flood")
	}
	a.failed(c, now)
	if !a.floods(c, now) {
		t.Error("the burst is no flood")
	}
	c.provedAt.Store(now.Unix())
	if a.floods(c, now) {
		t.Error("a proved address floods")
	}
	c.provedAt.Store(0)
	if later := now.Add(time.Second); a.floods(c, later) || c.failures != failuresBurst-failuresPerSecond {
		t.Errorf("%v failures count a second later", c.failures)
	}
	for range failuresPerSecond {
		a.failed(c, now.Add(time.Second))
	}
	if !a.floods(c, now.Add(time.Second)) {
		t.Error("failures at the rate of draining, on top of the burst, are no flood")
	}
}

// TestAddressesShareStateByPrefix: IPv6 by /64 and without a zone, IPv4 each its own.
func TestAddressesShareStateByPrefix(t *testing.T) {
	a, now := newAdmission(), time.Unix(1_800_000_000, 0)
	of := func(text string) *caller { return a.caller(netip.MustParseAddr(text), now) }
	for _, c := range []struct {
		one, other string
		same       bool
	}{
		{"2001:db8::1", "2001:db8::ffff:1", true}, {"2001:db8::1", "2001:db8:0:1::1", false}, {"fe80::1%eth0", "fe80::2%eth1", true},
		{"192.0.2.1", "192.0.2.1", true}, {"192.0.2.1", "192.0.2.2", false},
	} {
		if got := of(c.one) == of(c.other); got != c.same {
			t.Errorf("%s and %s: same state %v", c.one, c.other, got)
		}
	}
	if a.caller(netip.Addr{}, now) != a.others {
		t.Error("an unreadable address has a state of its own")
	}
}

// TestUnusedAddressesAreRemoved: those that were not seen for a minute, unless they are proved or
// hold memory; and at most once a second.
func TestUnusedAddressesAreRemoved(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	names := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}
	known := func(after time.Duration) (left []string) {
		a, now := newAdmission(), start.Add(after)
		for _, ip := range names {
			a.caller(netip.MustParseAddr(ip), start)
		}
		a.callers[netip.MustParseAddr(names[1])].provedAt.Store(start.Unix())
		a.callers[netip.MustParseAddr(names[2])].held[1] = 1
		a.callers[netip.MustParseAddr(names[3])].seen = now
		a.sweep(now)
		for _, ip := range names {
			if a.callers[netip.MustParseAddr(ip)] != nil {
				left = append(left, ip)
			}
		}
		a.callers[netip.MustParseAddr(names[0])] = &caller{}
		if a.sweep(now.Add(time.Second - 1)); a.callers[netip.MustParseAddr(names[0])] == nil {
			t.Error("swept twice within a second")
		}
		if a.sweep(now.Add(time.Second)); a.callers[netip.MustParseAddr(names[0])] != nil {
			t.Error("not swept again after a second")
		}
		return left
	}
	if left := known(time.Minute); len(left) != 4 {
		t.Errorf("after a minute only %v are left", left)
	}
	if left := known(time.Minute + 1); len(left) != 3 || left[0] != names[1] {
		t.Errorf("after more than a minute %v are left", left)
	}
	a := newAdmission()
	for i := range maxCallers {
		a.caller(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), start)
	}
	if fresh := netip.MustParseAddr("192.0.2.1"); a.caller(fresh, start) != a.others || a.caller(fresh, start.Add(2*time.Minute)) == a.others {
		t.Error("with too many addresses a new one must share a state, until old ones are forgotten")
	}
}

// TestMemoryForBodies: half of a pool, and a part of it for each address, is for addresses that are
// not proved; a proved one may take three quarters; the first body of an address may be larger
// than its part.
func TestMemoryForBodies(t *testing.T) {
	type held struct{ own, theirs, others, othersUnproved int64 }
	for pool, total := range []int64{smallPool, largePool} {
		part := []int64{smallPart, largePart}[pool]
		for name, c := range map[string]struct {
			held   held
			proved bool
			size   int64
			want   bool
		}{
			"a part":                             {held{}, false, part, true},
			"a first body above the part":        {held{}, false, part + 1, true},
			"up to the part":                     {held{theirs: part - 5}, false, 5, true},
			"above the part":                     {held{theirs: part - 5}, false, 6, false},
			"its own buffer is replaced":         {held{own: part}, false, part + 1, true},
			"half of the pool":                   {held{}, false, total / 2, true},
			"above half of the pool":             {held{}, false, total/2 + 1, false},
			"up to half, with others":            {held{othersUnproved: total/2 - 5}, false, 5, true},
			"above half, with others":            {held{othersUnproved: total/2 - 5}, false, 6, false},
			"beside proved ones":                 {held{others: total - 5}, false, 5, true},
			"the pool is full":                   {held{others: total - 5}, false, 6, false},
			"proved, beside unproved ones":       {held{othersUnproved: total / 2}, true, total / 2, true},
			"proved, up to three quarters":       {held{theirs: total/2 + 1}, true, total/4 - 1, true},
			"proved, above three quarters":       {held{theirs: total/2 + 1}, true, total / 4, false},
			"proved, a first body above that":    {held{}, true, total, true},
			"proved, and the pool is full":       {held{others: total - 5}, true, 6, false},
			"proved, its own buffer is replaced": {held{own: total - 5}, true, total, true},
		} {
			a := newAdmission()
			x := &arriving{caller: newCaller(), proved: c.proved}
			a.charge(&arriving{caller: x.caller, proved: c.proved}, pool, c.held.theirs)
			a.charge(&arriving{caller: newCaller(), proved: true}, pool, c.held.others)
			a.charge(&arriving{caller: newCaller()}, pool, c.held.othersUnproved)
			a.charge(x, pool, c.held.own)
			if got := a.room(x, pool, c.size); got != c.want {
				t.Errorf("pool %d, %s: %v", pool, name, got)
			}
		}
	}
}

// TestOldestSlowBodiesAreAbortedForRoom: the oldest of the same pool are ended until there is room; if that is not
// enough, the new body is refused.
func TestOldestSlowBodiesAreAbortedForRoom(t *testing.T) {
	now := time.Now()
	a := newAdmission()
	body := func(pool int, size int64, began time.Time) *arriving {
		x := &arriving{caller: newCaller(), began: began, due: now.Add(time.Hour)}
		a.begin(x)
		a.charge(x, pool, size)
		return x
	}
	other := body(1, largePool/2, now.Add(-time.Hour))
	empty := body(0, 0, now.Add(-time.Hour))
	first := body(0, smallPool/4, now.Add(-time.Hour))
	fast := body(0, smallPool/8, now.Add(time.Hour))
	second := body(0, smallPool/8, now.Add(-time.Hour))
	x := body(0, 0, now.Add(-time.Hour))
	if !a.take(x, smallBody, now.Add(time.Hour)) || !first.ended || second.ended || empty.ended || other.ended {
		t.Errorf("one was to be ended for a small body: %v %v %v %v", first.ended, second.ended, empty.ended, other.ended)
	}
	if a.makeRoom(x, 0, smallPool/2) || !second.ended || fast.ended || x.ended || other.ended || empty.ended {
		t.Errorf("half of the pool was not to be had beside a fast body: %v %v %v", second.ended, fast.ended, x.ended)
	}
	if a.take(first, 1, now.Add(time.Hour)) {
		t.Error("a body that was ended takes memory")
	}
	if n := a.endSlow(2); n != 2 || !other.ended || !empty.ended || x.ended {
		t.Errorf("ended %d slow ones", n)
	}
	for _, y := range []*arriving{other, empty, first, fast, second, x} {
		a.arrived(y)
		a.release(y)
	}
	if a.held != [2]int64{} || a.unproved != [2]int64{} || a.oldest != nil || a.newest != nil || a.count != 0 {
		t.Errorf("left over: %v %v, %d bodies", a.held, a.unproved, a.count)
	}
}

// TestSlowBodyLimits: no byte, or no further one, for longer than stallsAfter; or less than the
// pace after the first second.
func TestSlowBodyLimits(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		age, sinceMove time.Duration // sinceMove is negative if nothing came
		got            int64
		want           bool
	}{
		"nothing yet":           {stallsAfter, -1, 0, false},
		"nothing for long":      {stallsAfter + 1, -1, 0, true},
		"moving":                {time.Second, stallsAfter, 1, false},
		"stalled":               {time.Second, stallsAfter + 1, 1 << 30, true},
		"at the pace":           {2 * time.Second, 0, 2 * slowPace, false},
		"below the pace":        {2 * time.Second, 0, 2*slowPace - 1, true},
		"slow in its beginning": {time.Second, 0, 0, false},
	} {
		x := &arriving{began: now.Add(-c.age)}
		if x.got.Store(c.got); c.sinceMove >= 0 {
			x.moved.Store(now.Add(-c.sinceMove).UnixNano())
		}
		if got := x.lags(now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestGenuineDeliveryVerifiesOnlyItsOwnAddress: not the addresses that share the state of those
// above the limit, where one sender would vouch for all.
func TestGenuineDeliveryVerifiesOnlyItsOwnAddress(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"), []byte("triggers: {t: {webhook: {auth: {bearer: '${{ secrets.S }}'}}}}\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{CheckCron: CheckCron}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	const secret = "correct-horse-battery-staple"
	r, err := newRoute(p, p.Triggers["t"], &Deps{Secret: func(string) (string, bool) { return secret, true }})
	if err != nil {
		t.Fatal(err)
	}
	h := &Hooks{admission: newAdmission()}
	for _, c := range []struct {
		name, token string
		of          *caller
		want        bool
	}{
		{"its own", secret, newCaller(), true}, {"its own, forged", "x" + secret, newCaller(), false},
		{"shared", secret, h.admission.others, false},
	} {
		in := &inbound{at: time.Unix(1_800_000_000, 0), body: []byte("{}"), path: "/hooks/t"}
		in.method, in.header = http.MethodPost, http.Header{"Authorization": {"Bearer " + c.token}, "Content-Type": {"application/json"}}
		in.prepare(r)
		j, inTurn := h.verify(t.Context(), r, in, c.of)
		if got := c.of.provedAt.Load() != 0; got != c.want || !inTurn || j.genuine != (c.token == secret) {
			t.Errorf("%s: proved %v, %+v", c.name, got, j)
		}
	}
}
