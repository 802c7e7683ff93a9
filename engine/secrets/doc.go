// Package secrets looks up the values of a project's secrets. The value comes from the first of
// these sources that has the secret:
//
//  1. the environment variable NAME
//  2. the file that the environment variable NAME_FILE names
//  3. NAME in .env of the project, then the file that NAME_FILE there names
//     and after these a secret that a provider sent in a handshake, from the database of several nodes
//  4. the file NAME of $CREDENTIALS_DIRECTORY (systemd)
//  5. the file /run/secrets/NAME (Docker, Podman)
//  6. the secret's own source under secrets.names of hookloom.yaml
//  7. secrets.age, which hookloom secrets writes
//  8. secrets.command of hookloom.yaml
//  9. secrets.vault of hookloom.yaml
//
// A source that cannot be read ends the search: the value of a later source must not replace
// it. Sources are read once per load of the project; if a source then fails, its previous
// values are kept.
//
// The package must not know who uses a secret: triggers, connections or steps.
package secrets
