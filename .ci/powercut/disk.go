package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// disk is the image and the journal of its writes and flushes.
type disk struct {
	fs.Inode
	mu              sync.Mutex
	data            []byte
	log             []entry
	writes, flushes int
	recording       bool
}

func (d *disk) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, 0
}

func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = syscall.S_IFREG|0o600, imageSize
	return 0
}

func (d *disk) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return d.Getattr(ctx, f, out)
}

func (d *disk) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	end := min(off+int64(len(dest)), imageSize)
	if off >= end {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(bytes.Clone(d.data[off:end])), 0
}

func (d *disk) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off+int64(len(data)) > imageSize {
		return 0, syscall.ENOSPC
	}
	copy(d.data[off:], data)
	if d.recording {
		d.log = append(d.log, entry{off, bytes.Clone(data)})
		d.writes++
	}
	return uint32(len(data)), 0
}

func (d *disk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.recording {
		d.log = append(d.log, entry{})
		d.flushes++
	}
	return 0
}

// root is the folder with the one file.
type root struct {
	fs.Inode
	disk *disk
}

func (r *root) OnAdd(ctx context.Context) {
	r.AddChild("disk", r.NewPersistentInode(ctx, r.disk, fs.StableAttr{Mode: syscall.S_IFREG}), false)
}

func makeImage(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(imageSize), f.Close()); err != nil {
		return err
	}
	return run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", file)
}

// attach puts a loop device on a file and mounts it.
func attach(file, mounted string) (device string, err error) {
	out, err := exec.Command("losetup", "-f", "--show", file).Output()
	if err != nil {
		return "", fmt.Errorf("losetup: %w", err)
	}
	device = strings.TrimSpace(string(out))
	if err := run("mount", "-t", "ext4", device, mounted); err != nil {
		return "", errors.Join(err, run("losetup", "-d", device))
	}
	return device, nil
}

func detach(device, mounted string) error {
	return errors.Join(run("umount", mounted), run("losetup", "-d", device))
}
