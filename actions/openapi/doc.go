// Package openapi makes connector files of what a service says of itself: OpenAPI 3.0 and
// 3.1, Swagger 2.0, Postman collections, and single curl commands.
//
// A document is read as plain data and each operation is looked at alone, so that one that
// cannot be expressed is left out with its reason while the others are imported. A reader
// that builds the whole model first refuses the whole document for one bad reference:
// kin-openapi 0.153 gave nothing of 5 of 24 vendors' documents that this package imports.
//
// Documents are hostile: their size, depth, number of values and chains of references are
// bounded, references to other documents are not followed, and no text of theirs reaches the
// file without being quoted. The file that is made is checked as any other connector file.
//
// It knows the language. It must not know how actions are carried out, nor fetch anything.
package openapi
