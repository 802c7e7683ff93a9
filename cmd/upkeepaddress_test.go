package cmd

import (
	"net"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/freeport"
)

// TestDoctorExplainsAnUnusableAddress checks that an address that is not one of this machine is not blamed
// on another program.
func TestDoctorExplainsAnUnusableAddress(t *testing.T) {
	taken, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for address, advice := range map[string]string{
		taken:               "another program uses it",
		"127.0.0.1":         "HOST:PORT",
		"127.0.0.1.x..:808": "HOST:PORT",
		"192.0.2.1:8080":    "an address of this machine",
	} {
		_, err := net.Listen("tcp", address)
		if err == nil {
			t.Fatalf("%s can be listened on", address)
		}
		if got := addressAdvice(err); !strings.Contains(got, advice) {
			t.Errorf("%s: %q after %v, want %q", address, got, err, advice)
		}
	}
}
