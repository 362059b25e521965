//! The configuration as the rest of the program sees it: checked, with defaults filled in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::contract::results::OutputMode;
use crate::domain::Secret;

/// Everything.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is a table of the contract's section 5")]
pub struct Config {
    pub kafka: Kafka,
    pub ledger: LedgerSettings,
    pub worker: WorkerSettings,
    pub converter: ConverterSettings,
    pub target: TargetSettings,
    pub retry: RetrySettings,
    pub breaker: BreakerSettings,
    pub dead_letters: DeadLetterSettings,
    pub keys: KeySettings,
    pub admin: AdminSettings,
    pub telemetry: TelemetrySettings,
}

/// `[kafka]`
#[derive(Clone)]
pub struct Kafka {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// Consumer group.
    pub group: String,
    /// Our topics.
    pub topics: Topics,
    /// How results and positions are made one.
    pub delivery: Delivery,
    /// CloudEvents mode of results.
    pub output_mode: OutputMode,
    /// Further librdkafka properties, as they were read at start.
    pub properties: BTreeMap<String, String>,
    /// Where `sasl.password` comes from, if from a file: it is read again when it changes.
    pub password_file: Option<PathBuf>,
}

/// Names of our topics.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Topics {
    pub created: String,
    pub linked: String,
    pub rejected: String,
    pub dead_letter: String,
}

/// How results and positions are made one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// In one Kafka transaction.
    Transactional,
    /// Acknowledged, then committed: a crash between can repeat results, with the same ids.
    Idempotent,
}

/// `[ledger]`
#[derive(Clone)]
pub struct LedgerSettings {
    /// `postgres://...`, `sqlite:relative.db`, `sqlite:///absolute.db`. May hold a password.
    pub url: Secret,
    /// How long finished rows are kept.
    pub retention: Duration,
}

/// `[worker]`
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Events being worked on at once.
    pub max_in_flight: usize,
    /// Events accepted and waiting.
    pub max_waiting: usize,
    /// Bytes of events and results in memory.
    pub max_bytes: usize,
    /// Links of one customer in input order.
    pub per_customer_order: bool,
    /// How long a stop may drain.
    pub shutdown_timeout: Duration,
}

/// A secret that may rotate: its file is read again when it changes.
#[derive(Clone)]
pub enum SecretSource {
    /// From the configuration or the environment.
    Value(Secret),
    /// From a `*_file` key; the trailing line end does not count.
    File(PathBuf),
}

/// What every upstream's table has.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Base URL, ending in `/`.
    pub base_url: String,
    /// Limit of one whole call, connect included.
    pub timeout: Duration,
    /// Calls a second; `None`: no limit.
    pub rate_limit: Option<f64>,
    /// Accept http:// beyond loopback.
    pub allow_plain_http: bool,
    /// PEM file with further root certificates; followed when it changes.
    pub ca_file: Option<PathBuf>,
}

/// `[converter.*]`
#[derive(Clone)]
pub struct ConverterSettings {
    /// `[converter.payiq]`; absent: events with temporary tokens cannot be converted and the start is refused.
    pub payiq: Option<PayIqSettings>,
}

/// `[converter.payiq]`
#[derive(Clone)]
pub struct PayIqSettings {
    /// Address and limits.
    pub upstream: UpstreamSettings,
    /// The API key, a GUID.
    pub api_key: SecretSource,
    /// The key that signs.
    pub signing_key: SecretSource,
}

/// `[target.*]`; at least one.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct TargetSettings {
    pub loanpro: Option<LoanProSettings>,
    pub aloha: Option<AlohaSettings>,
}

/// How a read-back is done.
#[derive(Debug, Clone, Copy)]
pub struct LookSettings {
    /// How long a write may take to become visible.
    pub settle: Duration,
    /// How many look-ups must say "not there".
    pub looks: u32,
}

/// `[target.loanpro]`
#[derive(Clone)]
pub struct LoanProSettings {
    /// Address and limits.
    pub upstream: UpstreamSettings,
    /// Bearer token.
    pub token: SecretSource,
    /// `Autopal-Instance-Id`, the tenant.
    pub instance_id: String,
    /// A customer that exists: proves that the tenant is right.
    pub probe_customer_id: Option<i64>,
    /// Read-back.
    pub look: LookSettings,
}

/// `[target.aloha]`
#[derive(Clone)]
pub struct AlohaSettings {
    /// Address and limits.
    pub upstream: UpstreamSettings,
    /// HTTP Basic user.
    pub user: String,
    /// HTTP Basic password.
    pub password: SecretSource,
    /// `X-Api-CompanyCode`.
    pub company_code: String,
    /// Read-back.
    pub look: LookSettings,
}

/// `[retry]`
#[derive(Debug, Clone, Copy)]
pub struct RetrySettings {
    /// First interval.
    pub initial: Duration,
    /// Growth of the interval.
    pub multiplier: f64,
    /// Longest interval.
    pub max_interval: Duration,
    /// Working time before an event is dead-lettered.
    pub budget: Duration,
}

/// `[breaker]`
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Share of failures over the window that opens it.
    pub failure_rate: f64,
    /// The window.
    pub window: Duration,
    /// Time between probes while open.
    pub probe_interval: Duration,
}

/// `[dead_letters]`
#[derive(Debug, Clone, Copy)]
pub struct DeadLetterSettings {
    /// So many in a row pause the intake.
    pub pause_after_run: u32,
    /// Such a share over the window pauses the intake.
    pub pause_share: f64,
    /// The window.
    pub window: Duration,
    /// From so many ended events on.
    pub pause_min: u32,
    /// Share of the calls in flight that replays may have.
    pub replay_share: f64,
    /// Whether people may edit them.
    pub allow_edit: bool,
    /// How long dead letters are kept.
    pub retention: Duration,
}

/// `[keys]`
#[derive(Clone)]
pub struct KeySettings {
    /// Id of the key that seals.
    pub active: String,
    /// Every key by id, 32 bytes each.
    pub keys: Vec<(String, Secret)>,
}

/// `[admin]`
#[derive(Clone)]
pub struct AdminSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Bearer token of changing calls.
    pub token: Option<SecretSource>,
}

/// `[telemetry]`
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// OTLP over HTTP; empty: off.
    pub otlp_endpoint: Option<String>,
    /// Log lines for machines.
    pub log_json: bool,
}
