package cmd

// variable is an environment variable that the program reads.
type variable struct{ Name, Help string }

// environment lists all of them. Secrets are variables too, with names chosen by the project.
var environment = []variable{
	{"HOOKLOOM_LOG_FORMAT", "`text` or `json`, the form of the log; `--log-format` goes over it."},
	{"HOOKLOOM_ENV", "The environment whose file `hookloom.NAME.yaml` is merged over `hookloom.yaml`; `--env` overrides it."},
	{"HOOKLOOM_ADDR", "The address that receives deliveries. It overrides `server.addr`; `--addr` overrides it."},
	{"HOOKLOOM_ADMIN_ADDR", "The address of console, API and metrics. It overrides `server.admin_addr`; `--admin-addr` overrides it."},
	{"HOOKLOOM_DB", "The database: a file, or `postgres://...`. It overrides `database` and `server.db`; `--db` overrides it."},
	{"HOOKLOOM_NODE", "The name of this node among those of the database. It overrides `server.node`; `--node` overrides it."},
	{"PGSERVICE", "The section of `~/.pg_service.conf` with the parameters of PostgreSQL that the address of the database does not have. " +
		"libpq's other variables, such as `PGHOST`, `PGPASSWORD` and `PGPASSFILE`, are read too."},
	{"PGSSLMODE", "The TLS mode of PostgreSQL, if the address has no `sslmode`."},
	{"PGAPPNAME", "The name of the connections in PostgreSQL's lists, if the address has no `application_name`; else `hookloom`."},
	{"HOOKLOOM_TEST_POSTGRES", "Only read by Hookloom's own tests: the PostgreSQL server that they use."},
	{"HOOKLOOM_KEY", "The key for encrypted data, instead of the file `.hookloom-key`."},
	{"HOOKLOOM_TOKEN", "The operator token: of the server, and of commands that call it."},
	{"HOOKLOOM_VIEW_TOKEN", "The server's read-only token."},
	{"CREDENTIALS_DIRECTORY", "A folder with a file for each secret, set by systemd."},
	{"LISTEN_PID", "Set by systemd for socket activation: the process that the sockets are for."},
	{"LISTEN_FDS", "Set by systemd for socket activation: how many sockets there are."},
	{"LISTEN_FDNAMES", "Set by systemd for socket activation: what each socket is for."},
	{"NOTIFY_SOCKET", "The socket to notify systemd that the server is ready, set by systemd."},
	{"WATCHDOG_PID", "Set by systemd with `WatchdogSec`."},
	{"WATCHDOG_USEC", "Set by systemd with `WatchdogSec`: the interval of liveness notifications."},
	{"VAULT_ADDR", "Vault's address, if `secrets.vault.address` is not set."},
	{"VAULT_CACERT", "The CA file of Vault, if `secrets.vault.ca` is not set."},
	{"VAULT_NAMESPACE", "Vault's namespace, if `secrets.vault.namespace` is not set."},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "Where traces and metrics are sent, by OTLP over HTTP. Without it, and the next four, nothing is sent."},
	{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "The same, for traces only."},
	{"OTEL_TRACES_EXPORTER", "`otlp` sends traces to the default endpoint, `none` sends none."},
	{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "The same, for metrics only; `/metrics` has them too."},
	{"OTEL_METRICS_EXPORTER", "`otlp` sends metrics to the default endpoint, `none` sends none. " +
		"They are sent each minute, or each `OTEL_METRIC_EXPORT_INTERVAL` milliseconds."},
	{"OTEL_EXPORTER_OTLP_PROTOCOL", "Only `http/protobuf`."},
	{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "Only `http/protobuf`."},
	{"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "Only `http/protobuf`."},
	{"OTEL_SDK_DISABLED", "`true` sends nothing."},
	{"GOGC", "The garbage collection target (Go runtime); the server uses 325 if it is not set."},
	{"GOMEMLIMIT", "The soft memory limit (Go runtime); the server uses 160MiB if it is not set."},
	{"USER", "The user name in the audit log of commands."},
	{"VISUAL", "The editor of `hookloom secrets edit`."},
	{"EDITOR", "The same, if `VISUAL` is not set."},
	{"XDG_RUNTIME_DIR", "The folder in which `hookloom secrets edit` stores the text while it is edited."},
}
