// Package redact masks: secret values wherever they stand and however they are encoded
// (Redactor, Masker), and the fields of events that history.redact names (Fields). It must not
// know who stores or shows what it masks: not the store, the console or the log.
package redact
