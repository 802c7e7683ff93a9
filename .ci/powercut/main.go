// Command powercut checks that acknowledged events survive power cuts. It is a module of
// its own, so that its dependencies are not those of the product.
//
// It serves a disk image through FUSE. The database is in an ext4 file system on a loop
// device of that image. The kernel turns the file system's barriers into fsync of the
// image, so the FUSE server sees every write and every flush, in order. To simulate a
// power cut, it takes the image as it was at the start, applies all writes up to the
// last completed flush, and a random part of the later ones, torn at sectors of 512
// bytes. It then mounts the result, opens and checks the database, and looks for every
// event that was acknowledged before the cut. After some of the cuts it also runs the
// engine until every run has ended, and checks the results of workflows with calls,
// waits, debounce, batch and cancel_on.
//
// Two controls show that the rig detects faults: synchronous=NORMAL must lose events,
// and OFF must lose events or damage the database. It assumes that the kernel sends its
// barriers, and does not simulate a disk that acknowledges a flush without doing it.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/hookloom/hookloom/engine/store"
)

// imageSize is the size of the disk in bytes; a write can be torn at a multiple of sector.
const (
	imageSize = 96 << 20
	sector    = 512
	// maxEvents limits the events of each sender, so that they fit on the disk in every mode.
	maxEvents = 150
	// resumeEvery is the number of cuts after which the engine runs once.
	resumeEvery = 20
)

func main() {
	cuts := flag.Int("cuts", 20, "power cuts for each mode")
	load := flag.Duration("load", 2*time.Second, "how long events are stored before")
	writeTo := flag.String("write", "", "")
	mode := flag.String("mode", "", "")
	flag.Parse()
	var err error
	if *writeTo != "" {
		err = write(*writeTo, *mode, *load)
	} else {
		err = prove(*cuts, *load)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// prove tests the three modes and prints a line for each.
func prove(cuts int, load time.Duration) error {
	if why := missing(); why != "" {
		fmt.Printf("SKIPPED: the power-cut rig cannot run here: %s\n", why)
		return nil
	}
	var wrong error
	for _, mode := range []string{"FULL", "NORMAL", "OFF"} {
		r, err := record(mode, load)
		if errors.Is(err, errCannot) {
			fmt.Printf("SKIPPED: the power-cut rig cannot run here: %v\n", err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: recording: %w", mode, err)
		}
		s, err := r.cut(cuts)
		if err != nil {
			return fmt.Errorf("%s: %w", mode, err)
		}
		fmt.Printf("synchronous=%-6s  %d events acknowledged, %d writes, %d flushes; %d cuts: %d lost acknowledged events (%d of them), %d "+
			"damaged the database; %d runs ended after %d cuts\n",
			mode, len(r.acks), r.disk.writes, r.disk.flushes, cuts, s.lossy, s.lost, s.damaged, s.ended, s.resumed)
		for _, w := range s.wrong {
			fmt.Printf("        %s\n", w)
		}
		switch {
		case mode == "FULL" && s.lossy+s.damaged > 0:
			wrong = errors.Join(wrong, errors.New("an acknowledged event did not outlive a power cut"))
		case mode == "FULL" && len(s.wrong) > 0:
			wrong = errors.Join(wrong, errors.New("runs did not go on as they should after a power cut"))
		case mode == "FULL" && s.resumed > 0 && s.ended == 0:
			wrong = errors.Join(wrong, errors.New("no run went on after a power cut"))
		case mode != "FULL" && s.lossy+s.damaged == 0:
			wrong = errors.Join(wrong, fmt.Errorf("the control %s lost nothing: this rig sees no fault", mode))
		}
	}
	return wrong
}

// errCannot marks operations that this machine does not permit.
var errCannot = errors.New("this machine does not allow it")

// missing returns what the machine lacks, or an empty text.
func missing() string {
	if os.Getuid() != 0 {
		return "it mounts file systems, which needs root"
	}
	for _, f := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(f); err != nil {
			return f + " is not there"
		}
	}
	for _, p := range []string{"mkfs.ext4", "losetup", "mount", "umount"} {
		if _, err := exec.LookPath(p); err != nil {
			return p + " is not installed"
		}
	}
	return ""
}

// entry is one write, or with nil data a completed flush.
type entry struct {
	at   int64
	data []byte
}

var (
	_ fs.NodeOpener    = (*disk)(nil)
	_ fs.NodeReader    = (*disk)(nil)
	_ fs.NodeWriter    = (*disk)(nil)
	_ fs.NodeFsyncer   = (*disk)(nil)
	_ fs.NodeGetattrer = (*disk)(nil)
	_ fs.NodeSetattrer = (*disk)(nil)
)

// recorded is one session of storing: the image at its start, the journal, and
// which event was acknowledged when the journal had which length.
type recorded struct {
	disk  *disk
	start []byte
	acks  map[string]int
}

// record stores events on the served disk and notes when each is acknowledged.
func record(mode string, load time.Duration) (r *recorded, err error) {
	dir, err := os.MkdirTemp("", "powercut-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	image := filepath.Join(dir, "image")
	if err := makeImage(image); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(image)
	if err != nil {
		return nil, err
	}
	d := &disk{data: data}
	fuseDir, mounted := filepath.Join(dir, "fuse"), filepath.Join(dir, "mnt")
	if err := errors.Join(os.Mkdir(fuseDir, 0o700), os.Mkdir(mounted, 0o700)); err != nil {
		return nil, err
	}
	server, err := fs.Mount(fuseDir, &root{disk: d}, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, MaxWrite: 1 << 20,
		FsName: "powercut"}})
	if err != nil {
		return nil, fmt.Errorf("serving the disk: %w: %w", errCannot, err)
	}
	defer func() { err = errors.Join(err, server.Unmount()) }()
	device, err := attach(filepath.Join(fuseDir, "disk"), mounted)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCannot, err)
	}
	defer func() { err = errors.Join(err, detach(device, mounted)) }()
	// The empty database is created and flushed before the journal begins.
	if err := open(mounted, mode, func(*store.Store) error { return nil }); err != nil {
		return nil, err
	}
	syscall.Sync()
	d.mu.Lock()
	r = &recorded{disk: d, start: bytes.Clone(d.data), acks: map[string]int{}}
	d.recording = true
	d.mu.Unlock()
	err = r.drive(mounted, mode, load)
	d.mu.Lock()
	d.recording = false
	d.mu.Unlock()
	return r, err
}

// drive lets another process store events; one process must not wait for a disk
// that it serves itself.
func (r *recorded) drive(dir, mode string, load time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-write", dir, "-mode", mode, "-load", load.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		r.disk.mu.Lock()
		r.acks[lines.Text()] = len(r.disk.log)
		r.disk.mu.Unlock()
	}
	return cmd.Wait()
}

func open(dir, mode string, use func(*store.Store) error) error {
	s, err := store.Open(context.Background(), filepath.Join(dir, "hookloom.db"),
		store.Options{Synchronous: mode, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return errors.Join(use(s), s.Close())
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
