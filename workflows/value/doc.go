// Package value is the codec of plain data: JSON values as Go values. It decodes JSON strictly
// (decode.go), or only selected fields (partialjson.go), encodes it in a canonical form
// (encode.go), converts other Go values to plain data (normalize.go) and defines the limits of a
// value (limits.go).
//
// Plain data is nil, bool, string, int, float64, json.Number for integers beyond 64 bits, []any and
// map[string]any.
//
// The package must not know expressions, workflows or the database: a value that exists only inside
// an expression is a Computed, and a Meter limits the cost of an evaluation.
package value
