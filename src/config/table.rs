//! The table of every key. Defaults, checks, environment names, the `config` command and `docs/configuration.md` all come
//! from here, so a key that is added here is added everywhere but in `settings.rs` and `build.rs`.

use super::keys::Key;
use super::kind::Kind::{self, *};

const fn key(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind, default: Some(default), doc }
}

const fn unset(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, default: None, doc }
}

/// A call's limit: below 100 ms no vendor answers, above two minutes a successor would wait too long for a dead worker.
const CALL: Kind = Duration("100ms", "2m");
/// Calls a second.
const RATE: Kind = Number(0.01, 100_000.0);
/// A share of something.
const SHARE: Kind = Number(0.01, 1.0);
/// How long a write may take to become visible at a vendor.
const SETTLE: Kind = Duration("0s", "5m");
/// More look-ups than this only ask the same question again.
const LOOKS: Kind = Count(1, 20);
/// How long finished things are kept.
const KEPT: Kind = Duration("1h", "3650d");

const TIMEOUT: &str = "limit of one whole call, connect included";
const RATE_LIMIT: &str = "calls a second at most; unset: no limit";
const PLAIN: &str = "accept an http:// address beyond loopback: tokens and credentials then travel in clear";
const CA: &str = "PEM file with further root certificates; new connections follow it when it changes";
const SETTLING: &str = "how long a link may take to become visible; an empty look-up before that proves nothing";
const LOOKING: &str = "how many look-ups must say \"not there\" before a link is sent again";

/// Every key but `kafka.properties.*` and `keys.<id>.*`.
pub const KEYS: &[Key] = &[
    key("kafka.brokers", Text, "localhost:9092", "brokers to start from, `host:port`, comma separated"),
    key("kafka.group", Text, "profile-linker", "consumer group"),
    key("kafka.topics.created", Topic, "payments.profile-created.v1", "input topic"),
    key("kafka.topics.linked", Topic, "payments.profile-linked.v1", "topic of good results"),
    key("kafka.topics.rejected", Topic, "payments.profile-rejected.v1", "topic of bad results"),
    key("kafka.topics.dead_letter", Topic, "payments.profile-created.v1.dlq", "topic of dead letters"),
    key(
        "kafka.delivery",
        Choice(&["transactional", "idempotent"]),
        "transactional",
        "how results and positions are made one; `idempotent` for brokers without transactions: a crash can repeat results, with the same ids",
    ),
    key("kafka.output_mode", Choice(&["structured", "binary"]), "structured", "CloudEvents mode of results"),
    key("ledger.url", LedgerUrl, "postgres://localhost/profile_linker", "address of the ledger"),
    key("ledger.retention", KEPT, "30d", "how long finished events are kept; must exceed the retention of the topics"),
    key("worker.max_in_flight", Count(1, 65_536), "1024", "events being worked on at once"),
    key(
        "worker.max_waiting",
        Count(1, 10_000_000),
        "100000",
        "events accepted and waiting (back-off, outage, an earlier event of the customer); full: intake pauses",
    ),
    key(
        "worker.max_bytes",
        Count(16_777_216, 1_099_511_627_776),
        "268435456",
        "bytes of events and results in memory; a partition above its share pauses first. The default, 256 MiB, is room for 100,000 usual events, or for 100 of the largest",
    ),
    key("worker.per_customer_order", Switch, "true", "links of one customer take effect in input order"),
    key("worker.shutdown_timeout", Duration("1s", "10m"), "30s", "how long a stop may finish what is in flight"),
    unset("converter.payiq.base_url", BaseUrl, "address of PayIQ; required with this table"),
    unset("converter.payiq.api_key", Secret, "PayIQ's API key; required with this table"),
    unset("converter.payiq.signing_key", Secret, "key that signs PayIQ's log-in; required with this table"),
    key("converter.payiq.timeout", CALL, "10s", TIMEOUT),
    unset("converter.payiq.rate_limit", RATE, RATE_LIMIT),
    key("converter.payiq.allow_plain_http", Switch, "false", PLAIN),
    unset("converter.payiq.ca_file", File, CA),
    key(
        "target.loanpro.base_url",
        BaseUrl,
        "https://loanpro.simnang.com/api/public/api/1/",
        "address of the LoanPro LMS; differs by tenant",
    ),
    unset("target.loanpro.token", Secret, "LoanPro's bearer token; required with this table"),
    unset("target.loanpro.instance_id", Text, "`Autopal-Instance-Id`, the tenant; required with this table"),
    unset(
        "target.loanpro.probe_customer_id",
        Count(1, i64::MAX),
        "a customer that exists in this tenant, and in no other of yours (so not 1): proves the tenant before another customer is called missing",
    ),
    key("target.loanpro.timeout", CALL, "10s", TIMEOUT),
    unset("target.loanpro.rate_limit", RATE, RATE_LIMIT),
    key("target.loanpro.settle", SETTLE, "2s", SETTLING),
    key("target.loanpro.looks", LOOKS, "3", LOOKING),
    key("target.loanpro.allow_plain_http", Switch, "false", PLAIN),
    unset("target.loanpro.ca_file", File, CA),
    key("target.aloha.base_url", BaseUrl, "https://api.alohaorderonline.com/", "address of Aloha Online Ordering"),
    unset("target.aloha.user", Text, "HTTP Basic user; required with this table"),
    unset("target.aloha.password", Secret, "HTTP Basic password; required with this table"),
    unset("target.aloha.company_code", Text, "`X-Api-CompanyCode`; required with this table"),
    key("target.aloha.timeout", CALL, "10s", TIMEOUT),
    unset("target.aloha.rate_limit", RATE, RATE_LIMIT),
    key("target.aloha.settle", SETTLE, "2s", SETTLING),
    key("target.aloha.looks", LOOKS, "3", LOOKING),
    key("target.aloha.allow_plain_http", Switch, "false", PLAIN),
    unset("target.aloha.ca_file", File, CA),
    key("retry.initial", Duration("1ms", "1m"), "200ms", "first interval between attempts"),
    key("retry.multiplier", Number(1.0, 10.0), "2", "growth of the interval"),
    key("retry.max_interval", Duration("1ms", "1h"), "30s", "longest interval"),
    key(
        "retry.budget",
        Duration("1s", "30d"),
        "15m",
        "working time before an event is dead-lettered; stands still during an outage and `Retry-After`",
    ),
    key("breaker.failures", Count(1, 10_000), "10", "failures in a row that open an upstream's breaker"),
    key("breaker.failure_rate", SHARE, "0.5", "share of failures over the window that opens it"),
    key("breaker.window", Duration("1s", "1h"), "30s", "the window of the share"),
    key("breaker.probe_interval", Duration("100ms", "10m"), "5s", "time between probes while it is open"),
    key("dead_letters.pause_after_run", Count(1, 1_000_000), "100", "so many dead letters in a row pause the worker"),
    key("dead_letters.pause_share", SHARE, "0.5", "such a share of dead letters over the window pauses the worker"),
    key("dead_letters.window", Duration("1s", "1d"), "1m", "the window of the share"),
    key("dead_letters.pause_min", Count(1, 1_000_000), "50", "the share counts from so many ended events on"),
    key(
        "dead_letters.replay_share",
        SHARE,
        "0.25",
        "share of `worker.max_in_flight` that replayed events may have at once; the rest is for live events",
    ),
    key(
        "dead_letters.allow_edit",
        Switch,
        "false",
        "whether `dlq replay --edit` may open a dead letter's event, without its token, and put an edited one in its place",
    ),
    key("dead_letters.retention", KEPT, "90d", "how long dead letters are kept in the ledger"),
    key("keys.active", Text, "k1", "id of the key that seals; every key in `[keys]` opens"),
    key("admin.listen", Listen, "127.0.0.1:8700", "where the console, the API, health and metrics listen"),
    unset(
        "admin.token",
        Secret,
        "bearer token of changing calls, unset: one is made at start; required beyond loopback",
    ),
    key(
        "telemetry.otlp_endpoint",
        OptionalUrl,
        "",
        "base address that traces go to, at `/v1/traces` below it, as OTLP over HTTP, protobuf; empty: off",
    ),
    key("telemetry.log_format", Choice(&["text", "json"]), "text", "log lines for people or for machines"),
];
