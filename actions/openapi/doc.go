// Package openapi generates connector files from descriptions of a service: OpenAPI 3.0 and 3.1,
// Swagger 2.0, Postman collections, and single curl commands.
//
// A document is decoded as plain data and each operation is processed separately, so that one that
// cannot be expressed is skipped with its reason while the others are imported. A library that
// builds a complete model first rejects the whole document because of one bad reference:
// kin-openapi 0.153 could not load 5 of 24 vendors' documents that this package imports.
//
// Documents are hostile: their size, depth, number of values and chains of references are limited,
// references to other documents are not followed, and every text is quoted before it is written to
// the file. The generated file is checked like any other connector file.
//
// The package knows the language. It must not know how actions are executed, and must not fetch
// anything.
package openapi
