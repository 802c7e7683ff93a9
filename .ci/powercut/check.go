package main

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// score counts the effects of cuts.
type score struct {
	lossy, lost, damaged int
	// resumed is how often the engine ran after a cut, ended is how many runs it had then, and wrong
	// lists its errors.
	resumed, ended int
	wrong          []string
}

// cut cuts the power at random points.
func (r *recorded) cut(n int) (s score, err error) {
	dir, err := os.MkdirTemp("", "powercut-*")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var acked []int
	for _, at := range r.acks {
		acked = append(acked, at)
	}
	for i := range n {
		at := rand.IntN(len(r.disk.log) + 1)
		if i%2 == 0 {
			at = acked[rand.IntN(len(acked))] // just after an acknowledgement
		}
		image := filepath.Join(dir, "image")
		if err := os.WriteFile(image, r.crashed(at), 0o600); err != nil {
			return s, err
		}
		lost, damage, err := r.judge(image, filepath.Join(dir, "mnt"), at, i%resumeEvery == 0, &s)
		if err != nil {
			return s, err
		}
		if damage != "" {
			s.damaged++
		}
		if lost > 0 {
			s.lossy++
			s.lost += lost
		}
	}
	return s, nil
}

// crashed returns the image after a power cut at a length of the journal.
func (r *recorded) crashed(at int) []byte {
	image := bytes.Clone(r.start)
	flushed := 0
	for i := at - 1; i >= 0; i-- {
		if r.disk.log[i].data == nil {
			flushed = i
			break
		}
	}
	for _, e := range r.disk.log[:flushed] {
		copy(image[e.at:], e.data)
	}
	share := []float64{0, 0.5, 0.9, 1}[rand.IntN(4)]
	for _, e := range r.disk.log[flushed:at] {
		for i := 0; i < len(e.data); i += sector {
			if rand.Float64() < share {
				copy(image[e.at+int64(i):], e.data[i:min(i+sector, len(e.data))])
			}
		}
	}
	return image
}

// judge mounts a crashed image and looks for the events acknowledged before the cut.
func (r *recorded) judge(image, mounted string, at int, resume bool, to *score) (lost int, damage string, err error) {
	if err := os.MkdirAll(mounted, 0o700); err != nil {
		return 0, "", err
	}
	device, err := attach(image, mounted)
	if err != nil {
		return 0, "the file system does not mount: " + err.Error(), nil
	}
	defer func() { err = errors.Join(err, detach(device, mounted)) }()
	present := map[string]bool{}
	openErr := open(mounted, "FULL", func(s *store.Store) error {
		found, err := s.History().Check(context.Background())
		for _, f := range found {
			if len(f.Wrong) > 0 {
				damage = f.What + ": " + f.Wrong[0]
			}
		}
		if err != nil {
			return err
		}
		q := engine.Query{Limit: 1000}
		for {
			items, err := s.History().Events(context.Background(), q)
			if err != nil {
				return err
			}
			for _, e := range items {
				present[e.Key] = true
			}
			if len(items) < q.Limit {
				return nil
			}
			q.After = items[len(items)-1].ID
		}
	})
	if openErr != nil {
		return 0, openErr.Error(), nil
	}
	for key, when := range r.acks {
		if when <= at && !present[key] {
			lost++
		}
	}
	if resume && lost == 0 && damage == "" {
		ended, wrong, err := resumed(mounted)
		if err != nil {
			return 0, "", err
		}
		to.resumed++
		to.ended += ended
		to.wrong = append(to.wrong, wrong...)
	}
	return lost, damage, nil
}
