//! Log lines on stderr. stdout belongs to results.

use tracing_subscriber::EnvFilter;

/// What short commands log unless `RUST_LOG` says otherwise: their failures have a text of their own, and librdkafka's
/// complaints about a broker that is away would only repeat it.
pub const COMMAND_FILTER: &str = "warn,librdkafka=off,rdkafka::consumer=off";
/// What the worker logs unless `RUST_LOG` says otherwise. The client complains when it drops a consumer that we closed.
pub const WORKER_FILTER: &str = "info,rdkafka::consumer=off";

/// Starts logging to stderr, as text or as JSON lines, filtered by `RUST_LOG`, else by `default_filter`. Only the first
/// call in a process counts.
pub fn init(log_json: bool, default_filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error says that logging was started before, which is what was wanted.
    let _ = if log_json {
        lines.json().flatten_event(true).try_init()
    } else {
        lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
    };
}
