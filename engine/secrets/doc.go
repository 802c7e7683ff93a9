// Package secrets finds the values of a project's secrets where people keep them. A
// secret has the value of the first source that knows it:
//
//  1. the environment variable NAME
//  2. the file that the environment variable NAME_FILE names
//  3. NAME in .env of the project, then the file that NAME_FILE there names
//  4. the file NAME of $CREDENTIALS_DIRECTORY (systemd)
//  5. the file /run/secrets/NAME (Docker, Podman)
//  6. the secret's own source under secrets.names of hookloom.yaml
//  7. secrets.age, which hookloom secrets writes
//  8. secrets.command of hookloom.yaml
//  9. secrets.vault of hookloom.yaml
//
// A source that cannot be read ends the search: what comes after it is not taken in its
// place. Sources are read once for each load of the project; a source that fails then keeps
// what it gave before.
//
// It must not know who uses a secret: not triggers, connections or steps.
package secrets
