// Package value is the codec of plain data: what JSON can hold, as Go values. It reads
// JSON strictly (decode.go), or only a set of its fields (partialjson.go), writes it in
// one form (encode.go), makes plain data of other Go values (normalize.go) and holds the
// limits of one value (limits.go).
//
// Plain data is nil, bool, string, int, float64, json.Number for whole numbers beyond 64
// bits, []any and map[string]any.
//
// The package must not know expressions, workflows or the database: a value that exists
// only inside an expression is a Computed, and what an evaluation may spend is a Meter.
package value
