// Package redact masks secrets and personal data: secret values, wherever they are and however they
// are encoded (Redactor, Masker), and the fields of events that history.redact names (Fields). It
// must not know who stores or shows what it masks: the store, the console or the log.
package redact
