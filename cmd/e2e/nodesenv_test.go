//go:build unix

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestNodesWorkInEveryEnvironment: behind PgBouncer in transaction mode, over TLS with verify-full, with
// a role of the least rights, and with a database that takes 50 ms to answer. Two nodes are under
// load, one is killed, and the other one takes over; nothing that was acknowledged is lost.
func TestNodesWorkInEveryEnvironment(t *testing.T) {
	t.Parallel()
	realProcess(t)
	for name, place := range map[string]func(t *testing.T) (admin, nodes string){
		"PgBouncer": pooled, "TLS": encrypted, "least rights": least, "slow": slow,
	} {
		t.Run(name, func(t *testing.T) {
			admin, address := place(t)
			out := newLedger(t)
			flow := "on: hook\nsteps:\n  - {id: first, uses: http/post, with: {url: URL, body: {n: \"${{ event.data.n }}\"}}}\n"
			c := newClusterAt(t, address, map[string]string{"hookloom.yaml": hookConfig, ".env": hookEnv,
				"workflows/w.yaml": strings.ReplaceAll(flow, "URL", out.url)})
			acked := newAcknowledged()
			stop0, stop1 := c.nodes[0].senders(t, acked, 4, "a"), c.nodes[1].senders(t, acked, 4, "b")
			time.Sleep(1500 * time.Millisecond)
			c.processes[1].kill()
			began := time.Now()
			stop1()
			c.named(t, "node-1", "live")
			t.Logf("taken over after %s", time.Since(began).Round(100*time.Millisecond))
			stop0()
			c.nodes[0].idle(t)
			c.processes[0].stop(t)
			out.check(t, admin, acked, 1)
			if acked.count() == 0 {
				t.Error("nothing was acknowledged")
			}
		})
	}
}

// TestPoolerWithoutHintsOffIsNamed: commands say which parameter the address needs.
func TestPoolerWithoutHintsOffIsNamed(t *testing.T) {
	t.Parallel()
	realProcess(t)
	_, address := pooled(t)
	p := newProject(t, map[string]string{"hookloom.yaml": hookConfig, ".env": hookEnv})
	address = strings.Replace(address, "hints=off&", "", 1)
	for _, args := range [][]string{{"db", "status"}, {"runs"}} {
		_, err := p.run(append(args, "--db", address)...)
		if err == nil || !strings.Contains(err.Error(), "Add the parameter hints=off to the address") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// pooled is a database behind PgBouncer in transaction mode.
func pooled(t *testing.T) (admin, nodes string) {
	bin, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("SKIPPED: no pgbouncer (Debian: apt-get install pgbouncer)")
	}
	admin = postgrestest.Shared(t).Database(t)
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "hookloom-pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listen := freeAddr(t)
	host, port, _ := net.SplitHostPort(listen)
	config := fmt.Sprintf("[databases]\n%s = host=%s port=%s\n[pgbouncer]\nlisten_addr = %s\nlisten_port = %s\nunix_socket_dir =\n"+
		"auth_type = plain\nauth_file = %s/users\npool_mode = transaction\ndefault_pool_size = 8\nmax_client_conn = 200\n"+
		"ignore_startup_parameters = extra_float_digits\n", strings.TrimPrefix(u.Path, "/"), u.Hostname(), u.Port(), host, port, dir)
	for name, text := range map[string]string{"ini": config, "users": fmt.Sprintf("%q %q\n", postgrestest.User, postgrestest.Password)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	argv := []string{bin, filepath.Join(dir, "ini")}
	if os.Getuid() == 0 { // it refuses to run as root
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		argv = []string{bin, "-u", "nobody", filepath.Join(dir, "ini")}
	}
	p := launch(t, argv...)
	for range 200 {
		if conn, err := net.Dial("tcp", listen); err == nil {
			conn.Close()
			u.Host, u.RawQuery = listen, "hints=off&sslmode=disable"
			return admin, u.String()
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("PgBouncer does not come up\n%s", p.log.String())
	return "", ""
}

// encrypted is a database whose certificate is of an authority of its own.
func encrypted(t *testing.T) (admin, nodes string) {
	s := postgrestest.Start(t, postgrestest.Options{})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(t.TempDir(), "ca.pem")
	for path, block := range map[string]*pem.Block{authority: {Type: "CERTIFICATE", Bytes: der},
		filepath.Join(s.Data(), "server.crt"): {Type: "CERTIFICATE", Bytes: der},
		filepath.Join(s.Data(), "server.key"): {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if u, err := user.Lookup("postgres"); err == nil && os.Getuid() == 0 && path != authority {
			uid, _ := strconv.Atoi(u.Uid) // decimal
			gid, _ := strconv.Atoi(u.Gid)
			if err := os.Chown(path, uid, gid); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Restart(t, map[string]string{"ssl": "on"})
	admin = s.Database(t)
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = net.JoinHostPort("localhost", u.Port())
	u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {authority}}.Encode()
	return admin, u.String()
}

// least is a database whose tables another role has made; the role of the nodes has the rights that
// docs/postgresql.md prints.
func least(t *testing.T) (admin, nodes string) {
	s := postgrestest.Shared(t)
	admin = s.Database(t)
	role := postgrestest.Name("least")
	s.Exec(t, "CREATE ROLE "+role+" LOGIN PASSWORD 'x'")
	migrate := exec.CommandContext(t.Context(), buildBinary(t), "db", "migrate", "--db", admin, "--dir", t.TempDir())
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	page, err := os.ReadFile("../../docs/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	grants := 0
	for line := range strings.SplitSeq(string(page), "\n") {
		if strings.HasPrefix(line, "GRANT ") {
			postgrestest.Exec(t, admin, strings.ReplaceAll(line, "hookloom_app", role))
			grants++
		}
	}
	if grants == 0 {
		t.Fatal("the page has no grants")
	}
	return admin, postgrestest.As(admin, role, "x")
}

// slow is a database behind a proxy that delays each answer by 50 ms.
func slow(t *testing.T) (admin, nodes string) {
	admin = postgrestest.Shared(t).Database(t)
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	behind := u.Host
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { delay(conn, behind, 50*time.Millisecond) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait() // the nodes have ended, and with them their connections
	})
	u.Host = listener.Addr().String()
	return admin, u.String()
}

// delay passes a connection on, and what comes back after a time.
func delay(conn net.Conn, address string, d time.Duration) {
	defer conn.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	type piece struct {
		at   time.Time
		data []byte
	}
	pieces := make(chan piece, 1<<16)
	go func() { // ends with the client's connection
		_, _ = io.Copy(server, conn)
		_ = server.Close()
	}()
	go func() { // ends with the server's connection
		defer close(pieces)
		for {
			b := make([]byte, 64<<10)
			n, err := server.Read(b)
			if n > 0 {
				pieces <- piece{time.Now().Add(d), b[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.at))
		if _, err := conn.Write(p.data); err != nil {
			_ = server.Close()
		}
	}
}
