package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Limits of the values on a page, in bytes: of one value, of all together, and of one after that.
const (
	maxShown     = 16 << 10
	maxShownPage = 512 << 10
	minShown     = 1 << 10
)

// cutter shortens the values of one page; ?whole=ID shows one of them in full.
type cutter struct {
	whole string
	query url.Values
	left  int
}

// shownText is a value as a page shows it.
type shownText struct {
	ID, Text string
	// Shown is the size of Text if that is only the first part.
	Shown int64
	// Size is the size of the value in bytes, and Whole the address of the page that shows all of it;
	// Whole is empty if Text is complete.
	Size  int64
	Whole string
}

func cutterOf(r *http.Request) *cutter {
	q := r.URL.Query()
	c := &cutter{whole: q.Get("whole"), query: url.Values{}, left: maxShownPage}
	for _, name := range []string{"all", "with"} {
		if v := q.Get(name); v != "" {
			c.query.Set(name, v)
		}
	}
	return c
}

// Text returns a value, or its first part.
func (c *cutter) Text(id, text string) shownText {
	out := shownText{ID: id, Text: text, Size: int64(len(text))}
	most := maxShown
	if c.left <= 0 {
		most = minShown
	}
	if len(text) <= most || id == c.whole {
		if id != c.whole {
			c.left -= len(text)
		}
		return out
	}
	c.left -= most
	out.Text = strings.ToValidUTF8(text[:most], "")
	out.Shown = int64(len(out.Text))
	c.query.Set("whole", id)
	out.Whole = "?" + c.query.Encode() + "#" + url.PathEscape(id)
	return out
}

// inAttempt reports whether the value that is shown in full is one of the attempt.
func (c *cutter) inAttempt(index int) bool {
	name := strings.TrimRight(c.whole, "0123456789")
	return name != "" && c.whole == part(name, index)
}

// part returns the ID of a value of an attempt.
func part(name string, index int) string { return name + strconv.Itoa(index) }
