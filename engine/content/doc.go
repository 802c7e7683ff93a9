// Package content decodes bodies by their declared type: JSON, forms, text, and their charsets. All
// other packages decode bodies through it, so that keys, rules, steps, replays and lists see the
// same. It must not know where a body came from: no request, no event.
package content
