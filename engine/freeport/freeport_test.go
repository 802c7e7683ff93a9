package freeport_test

import (
	"net"
	"testing"

	"github.com/hookloom/hookloom/engine/freeport"
)

// No address is given twice, also over more than one block, and each can be listened on.
func TestNoAddressIsGivenTwice(t *testing.T) {
	seen := map[string]bool{}
	for range 120 {
		a, err := freeport.Address()
		if err != nil {
			t.Fatal(err)
		}
		if seen[a] {
			t.Errorf("%s is given twice", a)
		}
		seen[a] = true
		l, err := net.Listen("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}
