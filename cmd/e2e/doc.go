// Package e2e tests the built program: real processes, real files, loopback sockets. Its tests
// build the binary once, start it, load it, kill it or deprive it of resources, and compare what it
// acknowledged with its database and with what its targets received. harness_test.go has the
// helpers.
//
// It may know what an operator knows: the command line, the exit statuses, the HTTP interfaces and
// the database. It must not know anything unexported of package cmd, which has its own unit tests.
package e2e
