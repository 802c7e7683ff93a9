package workflows

// projectShapes are the mappings of hookloom.yaml.
var projectShapes = map[string]*shape{
	"project": {title: "hookloom.yaml", xKeys: true, fields: []field{
		{"version", between(1, 1000), false, "the version of the language; 1 by default"},
		{"server", object("server"), false, "addresses, TLS and tokens of the server"},
		{"vars", is(kindAny), false, "values by name, which expressions of the project read as vars.NAME"},
		{"database", is(kindText), false, "the database file, hookloom.db by default; server.db may name a PostgreSQL database"},
		{"timezone", is(kindText), false, "the time zone of schedules and of the console; the machine's by default"},
		{"triggers", mapOf(object("trigger")), false, "triggers by name, which any workflow can listen to"},
		{"connections", mapOf(is(kindAny)), false, "credentials by name, which steps use to reach services"},
		{"egress", object("egress"), false, "which private addresses steps may reach"},
		{"destinations", mapOf(object("destination")), false, "limits per host: api.example.com for all its ports, api.example.com:8443 for one"},
		{"history", object("history"), false, "how long history is kept, and what of it is masked"},
		{"files", object("files"), false, "size limits for the files of runs, which http actions write with save: true"},
		{"secrets", object("secrets"), false, "where secrets come from, in addition to the environment, .env, mounted files and secrets.age"},
	}},
	"files": {title: "files", fields: []field{
		{"max_file", is(kindSize), false, "one file; 256MiB by default"},
		{"max_size", is(kindSize), false, "all files together; 2GiB by default"},
		{"folder", is(kindText), false, "the folder of the project that file/read and file/append reach; none by default"},
	}},
	"server": {title: "server", fields: []field{
		{"addr", is(kindText), false, ":8080 by default"},
		{"admin_addr", is(kindText), false, "127.0.0.1:8081 by default"},
		{"db", is(kindValue), false, "the database: a file, or postgres://USER:PASSWORD@HOST/DATABASE with the password as a secret"},
		{"node", is(kindText), false, "the name of this node among those of the database; the host's name by default"},
		{"public_url", is(kindText), false, "the URL of the hooks address as providers see it"},
		{"admin_url", is(kindText), false, "the URL of the console as people see it, used in run.url and in alerts"},
		{"trusted_proxies", list(is(kindText)), false, "proxies whose forwarding headers are trusted"},
		{"tls", object("tls"), false, "https on the hooks address"},
		{"admin_tls", object("tls"), false, "https on the admin address, with the keys of tls"},
		{"mcp", object("server_mcp"), false, "what agents may do at /mcp of the admin address"},
		{"token", is(kindValue), false, "a token for the admin address that may operate"},
		{"view_token", is(kindValue), false, "a token for the admin address that may only read"},
		{"tokens", mapOf(is(kindValue)), false, "name to a personal operator token; it authenticates the name for by: of approvals"},
	}},
	"server_mcp": {title: "mcp of server", fields: []field{
		{"allow_write", is(kindBool), false, "true: agents with an operator token can replay, cancel, approve and fire; false by default"},
	}},
	"tls": {title: "tls", fields: []field{
		{"cert", is(kindText), false, "a PEM file with the certificate and its chain"},
		{"key", is(kindText), false, "a PEM file with its private key"},
		{"acme", object("acme"), false, "certificates from Let's Encrypt or another ACME authority"},
		{"client_ca", is(kindText), false, "a PEM file: clients must present a certificate issued by this CA"},
	}},
	"acme": {title: "acme", fields: []field{
		{"hosts", list(is(kindText)), true, "the host names to get certificates for"},
		{"email", is(kindText), false, "the contact address for the authority"},
		{"directory", is(kindText), false, "the authority's directory; Let's Encrypt by default"},
		{"cache", is(kindText), false, "the folder for keys and certificates, acme by default; with PostgreSQL they are in the database"},
	}},
	"destination": {title: "a destination", fields: []field{
		{"concurrency", between(1, 10_000), false, "concurrent attempts; an eighth of the running runs by default"},
		{"rate", is(kindRate), false, "attempts per time, such as 10/s"},
	}},
	"egress": {title: "egress", fields: []field{
		{"allow", list(is(kindText)), false, "private addresses, blocks or hosts that steps may reach"},
	}},
	"history": {title: "history", fields: []field{
		{"keep", is(kindDuration), false, "how long events and runs are kept; forever by default"},
		{"max_size", is(kindSize), false, "the largest size of the database; the oldest history is removed first"},
		{"bodies", is(kindDuration), false, "how long the bodies of events are kept; as long as the events by default"},
		{"redact", list(is(kindText)), false, "fields of events and steps that are masked before they are stored: event.data.card.number, " +
			"$..iban, steps.find.output.body.iban"},
	}},
	"connection": {title: "a connection", xKeys: false, fields: []field{
		{"connector", is(kindText), false, "the connection's own name by default"},
		{"base_url", is(kindValue), false, "the URL that the paths of requests are added to; the connector's by default"},
		{"auth", either(word("none"), object("connection_auth")), false, "how requests are authenticated; none by default"},
		{"expired", object("expired"), false, "responses that mean that the token is no longer valid"},
		{"test", is(kindText), false, "the path of a cheap GET, for hookloom connections --test"},
		{"headers", mapOf(is(kindValue)), false, "headers of each request"},
	}},
}
