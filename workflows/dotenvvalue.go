package workflows

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/joho/godotenv"
)

// The format of .env is that of docker compose (docs.docker.com, "Set, use, and manage variables in a Compose file with
// variable interpolation"). godotenv reads most of it. This file adds the escapes that it loses, and finds what it would
// read as another value.

// envStatement matches the beginning of a line of .env up to its value.
var envStatement = lazyregexp.New(`^[ \t]*(?:export[ \t]+)?[A-Za-z_][A-Za-z0-9_.]*[ \t]*[=:][ \t]*`)

// envVariable matches a $ and the variable that is read: a name in capitals.
var envVariable = lazyregexp.New(`^\$(?:\{[A-Z_][A-Z0-9_]*\}|[A-Z_][A-Z0-9_]*(?:[^A-Za-z0-9_}]|$))`)

// expanded matches what godotenv reads as a variable, whatever follows. Other texts, such as $name and ${name}, it keeps.
var expanded = lazyregexp.New(`^\$\{?[A-Z0-9_]`)

// ErrEnvVariable is a $ in .env that does not begin a variable which is read.
var ErrEnvVariable = errors.New("a variable is $NAME or ${NAME} here, with capitals, digits and _; to keep the $, put the value " +
	"in single quotes")

// parseEnv reads .env.
func parseEnv(text []byte) (map[string]string, error) {
	return godotenv.UnmarshalBytes(composeEscapes(text))
}

// envValues calls visit with the place of each value in the file, without its quotes. quote is 0 for a value without quotes.
func envValues(text []byte, visit func(from, to int, quote byte)) {
	for at := 0; at < len(text); {
		end := len(text)
		if n := bytes.IndexByte(text[at:], '\n'); n >= 0 {
			end = at + n + 1
		}
		if m := envStatement.FindStringSubmatchIndex(string(text[at:end])); m != nil {
			from := at + m[1]
			if from < end && (text[from] == '"' || text[from] == '\'') {
				to := closingQuote(text, from)
				visit(from+1, to, text[from])
				if n := bytes.IndexByte(text[to:], '\n'); n >= 0 {
					end = to + n + 1
				} else {
					end = len(text)
				}
			} else {
				to := end
				if n := bytes.Index(text[from:end], []byte(" #")); n >= 0 {
					to = from + n
				}
				visit(from, to, 0)
			}
		}
		at = end
	}
}

// closingQuote returns where a quoted value ends: at its quote, or at the end of the text if there is none.
func closingQuote(text []byte, from int) int {
	for i := from + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[from]:
			return i
		}
	}
	return len(text)
}

// composeEscapes rewrites escapes in double quotes that godotenv reads without their backslash: \t, \a, \b, \f and \v stand
// for a character, and a backslash before any other letter for itself.
func composeEscapes(text []byte) []byte {
	if bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	var out []byte
	done := 0
	envValues(text, func(from, to int, quote byte) {
		if quote != '"' {
			return
		}
		out = append(out, text[done:from]...)
		for i := from; i < to; i++ {
			if text[i] != '\\' || i+1 == to {
				out = append(out, text[i])
				continue
			}
			i++
			switch c := text[i]; c {
			case 'n', 'r', '"', '$', '\\':
				out = append(out, '\\', c)
			case 't', 'a', 'b', 'f', 'v':
				out = append(out, map[byte]byte{'t': '\t', 'a': '\a', 'b': '\b', 'f': '\f', 'v': '\v'}[c])
			default:
				out = append(out, '\\', '\\', c)
			}
		}
		done = to
	})
	return append(out, text[done:]...)
}

// badVariable reports the first $ that would be read as a variable other than the one that is written. The value would
// silently be another one.
func badVariable(text []byte) error {
	bad := -1
	envValues(text, func(from, to int, quote byte) {
		for i := from; i < to && bad < 0 && quote != '\''; i++ {
			switch {
			case text[i] == '\\':
				i++
			case text[i] != '$' || i+1 == to:
			case expanded.MatchString(string(text[i:to])) && !envVariable.MatchString(string(text[i:to])):
				bad = i
			}
		}
	})
	if bad < 0 {
		return nil
	}
	line := bytes.Count(text[:bad], []byte("\n")) + 1
	column := bad - bytes.LastIndexByte(text[:bad], '\n')
	return fmt.Errorf("%s:%d:%d: %w", EnvFileName, line, column, ErrEnvVariable)
}
