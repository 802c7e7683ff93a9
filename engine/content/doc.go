// Package content reads bodies by their declared type: JSON, forms, text, and the charsets
// they are written in. It is the one reader: what keys, rules, steps, replays and lists see of a
// body is what it gives. It must not know where a body came from: no request, no event.
package content
