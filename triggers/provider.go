package triggers

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
	"github.com/robfig/cron/v3"
)

//go:embed providers/*.yaml
var providerFiles embed.FS

// Presets reads the embedded provider files, by name and by alias.
func Presets() (map[string]*workflows.Preset, error) {
	files, err := fs.Glob(providerFiles, "providers/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing providers: %w", err)
	}
	out := map[string]*workflows.Preset{}
	for _, f := range files {
		text, err := providerFiles.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("reading provider %s: %w", f, err)
		}
		p, err := workflows.ParsePreset(f, text)
		if err != nil {
			return nil, err
		}
		if p.Name != strings.TrimSuffix(path.Base(f), ".yaml") {
			return nil, fmt.Errorf("provider file %s names itself %q", f, p.Name)
		}
		for _, v := range p.Verify {
			if _, err := signature.Compile(scheme(v)); err != nil {
				return nil, fmt.Errorf("provider %s: %w", p.Name, err)
			}
		}
		for _, n := range append([]string{p.Name}, p.Aliases...) {
			if out[n] != nil {
				return nil, fmt.Errorf("provider name %s is there twice", n)
			}
			out[n] = p
		}
	}
	return out, nil
}

// scheme turns the written form of a signature into the one that is run.
func scheme(v *workflows.Verify) signature.Scheme {
	s := signature.Scheme{Variant: v.Variant, Algorithm: v.Algorithm, KeyEncoding: v.KeyEncoding, From: placeOf(v.Signature.From), Prefix: v.Signature.Prefix,
		Encoding: v.Signature.Encoding, Format: v.Signature.Format, Separator: v.Signature.Separator, SignatureKey: v.Signature.SignatureKey,
		TimestampKey: v.Signature.TimestampKey, Versions: v.Signature.AcceptVersions, Content: v.SignedContent}
	if t := v.Timestamp; t != nil {
		s.Timestamp = &signature.Timestamp{From: placeOf(t.From), Unit: t.Unit, Tolerance: t.Tolerance}
	}
	return s
}

func placeOf(f workflows.From) signature.Place {
	return signature.Place{Header: f.Header, Query: f.Query, Form: f.Form, JSON: f.JSON, Field: f.SignatureField}
}

// CheckCron says what is wrong with five fields of cron, in the user's words.
// Only robfig/cron's parser is used; its traps are closed here: TZ= panics,
// a trailing comma passes, 7 is refused, and a date that never comes is silent.
func CheckCron(text string) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("cron %q cannot be read", text)
		}
	}()
	if strings.Contains(text, "TZ=") {
		return fmt.Errorf("a time zone stands in timezone:, not in cron")
	}
	fields := strings.Fields(text)
	if !strings.HasPrefix(text, "@") && len(fields) != 5 {
		if len(fields) == 6 {
			return fmt.Errorf("6 fields: seconds are not supported")
		}
		return fmt.Errorf("cron has five fields, this one %d", len(fields))
	}
	for i, f := range fields {
		if strings.HasSuffix(f, ",") || strings.HasPrefix(f, ",") {
			return fmt.Errorf("field %d: a comma at its end", i+1)
		}
	}
	if len(fields) == 5 && fields[4] == "7" {
		fields[4] = "0"
	}
	s, err := cron.ParseStandard(strings.Join(fields, " "))
	if err != nil {
		return fmt.Errorf("cron: %s", strings.TrimPrefix(err.Error(), "failed to parse "))
	}
	if s.Next(neverBefore).IsZero() {
		return fmt.Errorf("cron %q never happens", text)
	}
	return nil
}
