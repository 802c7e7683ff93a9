package store

import (
	"context"
	"time"
)

// ProjectFiles returns the texts of the project's files as they were last loaded without a mistake,
// by their path in the project folder.
func (s *Store) ProjectFiles(ctx context.Context) (map[string][]byte, error) {
	return s.History().ProjectFiles(ctx)
}

// ProjectFiles returns the files that were last in force, by name.
func (h *History) ProjectFiles(ctx context.Context) (map[string][]byte, error) {
	out := map[string][]byte{}
	_, err := collect(ctx, h.db, `SELECT file, text FROM project_files`, nil, func(r scanner) (struct{}, error) {
		var file, text string
		err := r.Scan(&file, &text)
		out[file] = []byte(text)
		return struct{}{}, err
	})
	return out, err
}

// SaveProjectFiles replaces the stored files.
func (s *Store) SaveProjectFiles(ctx context.Context, files map[string][]byte) error {
	before, err := s.ProjectFiles(ctx)
	if err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	return s.w.do(ctx, true, func(t *tx) error {
		for file := range before {
			if _, still := files[file]; !still {
				if err := t.exec(`DELETE FROM project_files WHERE file = ?`, file); err != nil {
					return err
				}
			}
		}
		for file, text := range files {
			if old, known := before[file]; known && string(old) == string(text) {
				continue
			}
			if err := t.exec(`INSERT INTO project_files (file, text, at) VALUES (?, ?, ?)
				ON CONFLICT (file) DO UPDATE SET text = excluded.text, at = excluded.at`, file, string(text), now); err != nil {
				return err
			}
		}
		return nil
	})
}
