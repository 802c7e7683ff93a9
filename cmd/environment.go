package cmd

// variable is an environment variable that the program reads.
type variable struct{ Name, Help string }

// environment is the table of all of them. Secrets are variables too, of names that the
// project chooses.
var environment = []variable{
	{"HOOKLOOM_LOG_FORMAT", "`text` or `json`, the form of the log; `--log-format` goes over it."},
	{"HOOKLOOM_ADDR", "The address that takes deliveries, over `server.addr`; `--addr` goes over it."},
	{"HOOKLOOM_ADMIN_ADDR", "The address of console, API and metrics, over `server.admin_addr`; `--admin-addr` goes over it."},
	{"HOOKLOOM_DB", "The database's file, over `database`; `--db` goes over it."},
	{"HOOKLOOM_KEY", "The key of what is stored encrypted, in place of the file `.hookloom-key`."},
	{"HOOKLOOM_TOKEN", "The token that acts: of the server, and of commands that ask it."},
	{"HOOKLOOM_VIEW_TOKEN", "The server's token that only views."},
	{"CREDENTIALS_DIRECTORY", "A folder with a file for each secret, set by systemd."},
	{"LISTEN_PID", "Set by systemd for socket activation: the process that the sockets are for."},
	{"LISTEN_FDS", "Set by systemd for socket activation: how many sockets there are."},
	{"LISTEN_FDNAMES", "Set by systemd for socket activation: what each socket is for."},
	{"NOTIFY_SOCKET", "Where to tell systemd that the server is ready, set by systemd."},
	{"WATCHDOG_PID", "Set by systemd with `WatchdogSec`."},
	{"WATCHDOG_USEC", "Set by systemd with `WatchdogSec`: how often to tell that the server is alive."},
	{"VAULT_ADDR", "Vault's address, where `secrets.vault.address` is not set."},
	{"VAULT_CACERT", "The file of Vault's authority, where `secrets.vault.ca` is not set."},
	{"VAULT_NAMESPACE", "Vault's namespace, where `secrets.vault.namespace` is not set."},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "Where traces and metrics are sent, by OTLP over HTTP. Without it, and the next four, nothing is sent."},
	{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "The same, for traces only."},
	{"OTEL_TRACES_EXPORTER", "`otlp` sends traces to the default endpoint, `none` sends none."},
	{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "The same, for metrics only; `/metrics` has them too."},
	{"OTEL_METRICS_EXPORTER", "`otlp` sends metrics to the default endpoint, `none` sends none."},
	{"OTEL_METRIC_EXPORT_INTERVAL", "How often metrics are sent, in milliseconds; 60000 by default."},
	{"OTEL_EXPORTER_OTLP_PROTOCOL", "Only `http/protobuf`."},
	{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "Only `http/protobuf`."},
	{"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "Only `http/protobuf`."},
	{"OTEL_SDK_DISABLED", "`true` sends nothing."},
	{"GOGC", "How often memory is collected (Go's runtime); the server takes 800 where it is not set."},
	{"GOMEMLIMIT", "The memory that the server may use (Go's runtime); it takes 160MiB where it is not set."},
	{"USER", "The name in the records of what commands do."},
	{"VISUAL", "The editor of `hookloom secrets edit`."},
	{"EDITOR", "The same, where `VISUAL` is not set."},
	{"XDG_RUNTIME_DIR", "The folder in which `hookloom secrets edit` keeps the text meanwhile."},
}
