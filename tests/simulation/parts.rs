//! What a simulated worker is made of: the real shell, the real clients and classifiers, over the world's seams.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use profile_linker::conditions::Conditions;
use profile_linker::config::{
    AdminSettings, BreakerSettings, Config, ConverterSettings, DeadLetterSettings, Delivery, Kafka, KeySettings,
    LedgerSettings, LoanProSettings, LookSettings, PayIqSettings, RetrySettings, SecretSource, TargetSettings,
    TelemetrySettings, Topics, UpstreamSettings, WorkerSettings,
};
use profile_linker::contract::DeadLetterLimit;
use profile_linker::contract::results::OutputMode;
use profile_linker::domain::Secret;
use profile_linker::kafka::Publisher;
use profile_linker::ledger::Vault;
use profile_linker::metrics::Metrics;
use profile_linker::pulse::Pulse;
use profile_linker::traces::Traces;
use profile_linker::upstream::aloha::Aloha;
use profile_linker::upstream::loanpro::{CustomerId, LoanPro};
use profile_linker::upstream::payiq::PayIq;
use profile_linker::upstream::{LinkTarget, Upstreams};
use profile_linker::worker::WorkerParts;

use crate::inputs::{CUSTOMERS, TOPIC};
use crate::process::{Process, ProcessClock};
use crate::publisher::WorldPublisher;
use crate::source::WorldSource;
use crate::statement::WorldLedger;
use crate::transport::{SETTLE, TIMEOUT, WorldTransport};
use crate::vendors::Vendor;

const LOOK: LookSettings = LookSettings { settle: SETTLE, looks: 3 };

static VAULT: LazyLock<Arc<Vault>> = LazyLock::new(|| {
    let keys = vec![("k1".to_owned(), Secret::new(vec![1; 32]))];
    match Vault::new("k1", keys) {
        Ok(vault) => Arc::new(vault),
        Err(error) => panic!("a vault: {error}"),
    }
});

/// The ledger's hash key, sealed once for all histories.
static HASH_KEY: LazyLock<Vec<u8>> = LazyLock::new(|| VAULT.seal(b"hash-key", &[9; 32]));

/// Calls of a worker at once.
pub fn max_in_flight(tight: bool) -> usize {
    if tight { 1 } else { 4 }
}

/// One event may be called for and one more be runnable, two may wait: with so many one of the limits is reached.
pub const MOST_WHEN_TIGHT: usize = 4;

/// All of a worker.
pub fn of(process: &Arc<Process>) -> WorkerParts {
    let (idempotent, limits, adopt) = {
        let state = process.world.lock();
        let limits = Limits { touchy: state.plan.touchy, tight: state.plan.tight, outage: state.plan.outage };
        (state.plan.idempotent, limits, state.restoring.option())
    };
    let (source, events) = WorldSource::start(process);
    let publisher: Arc<dyn Publisher> =
        Arc::new(WorldPublisher { process: Arc::clone(process), source: Arc::clone(&source), idempotent });
    let clock = Arc::new(ProcessClock(Arc::clone(process)));
    WorkerParts {
        config: config(limits),
        source: (source, events),
        publisher,
        ledger: Arc::new(WorldLedger { process: Arc::clone(process), sealed_hash_key: HASH_KEY.clone() }),
        vault: Arc::clone(&VAULT),
        upstreams: upstreams(process),
        traces: Traces::default(),
        conditions: Conditions::new(Arc::clone(&clock) as Arc<_>),
        metrics: Metrics::new().unwrap(),
        pulse: Pulse::new(),
        clock,
        cluster_id: "a cluster".to_owned(),
        topic_id: None,
        dead_letter_limit: DeadLetterLimit::USUAL,
        adopt,
        milestones: None,
    }
}

fn upstreams(process: &Arc<Process>) -> Upstreams {
    let transport = |vendor| Arc::new(WorldTransport { process: Arc::clone(process), vendor });
    let probe = CUSTOMERS[0].parse().ok().and_then(CustomerId::new);
    let loanpro = LoanPro::new(transport(Vendor::LoanPro), secret("loanpro"), "tenant", probe);
    let aloha = Aloha::new(transport(Vendor::Aloha), "user", secret("aloha"), "company");
    Upstreams {
        converter: Arc::new(PayIq::new(transport(Vendor::PayIq), secret("key"), secret("signing"))),
        loanpro: loanpro.ok().map(|target| Arc::new(target) as Arc<dyn LinkTarget>),
        aloha: aloha.ok().map(|target| Arc::new(target) as Arc<dyn LinkTarget>),
    }
}

fn secret(text: &str) -> SecretSource {
    SecretSource::Value(Secret::from(text.to_owned()))
}

fn upstream() -> UpstreamSettings {
    UpstreamSettings {
        base_url: "https://vendor.invalid/".to_owned(),
        timeout: TIMEOUT,
        rate_limit: None,
        allow_plain_http: false,
        ca_file: None,
    }
}

fn kafka() -> Kafka {
    Kafka {
        brokers: "broker.invalid:9092".to_owned(),
        group: "simulation".to_owned(),
        topics: Topics {
            created: TOPIC.to_owned(),
            linked: "linked".to_owned(),
            rejected: "rejected".to_owned(),
            dead_letter: "dead letters".to_owned(),
        },
        delivery: Delivery::Transactional,
        output_mode: OutputMode::Structured,
        properties: BTreeMap::new(),
        password_file: None,
    }
}

/// Which limits are lower than usual.
#[derive(Clone, Copy)]
struct Limits {
    touchy: bool,
    tight: bool,
    /// A budget that is shorter than the outage.
    outage: bool,
}

fn config(Limits { touchy, tight, outage }: Limits) -> Config {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    Config {
        kafka: kafka(),
        ledger: LedgerSettings { url: Secret::from("sqlite:none".to_owned()), retention: minutes(60 * 24 * 30) },
        worker: WorkerSettings {
            max_in_flight: max_in_flight(tight),
            max_waiting: if tight { 2 } else { 40 },
            max_bytes: 64 << 20,
            per_customer_order: true,
            shutdown_timeout: Duration::from_secs(30),
        },
        converter: ConverterSettings {
            payiq: Some(PayIqSettings { upstream: upstream(), api_key: secret("key"), signing_key: secret("signing") }),
        },
        target: TargetSettings {
            loanpro: Some(LoanProSettings {
                upstream: upstream(),
                token: secret("loanpro"),
                instance_id: "tenant".to_owned(),
                probe_customer_id: CUSTOMERS[0].parse().ok(),
                look: LOOK,
            }),
            aloha: None,
        },
        retry: RetrySettings {
            initial: Duration::from_millis(200),
            multiplier: 2.0,
            max_interval: Duration::from_secs(30),
            budget: minutes(if outage { 1 } else { 15 }),
        },
        breaker: BreakerSettings {
            failures: if touchy { 2 } else { 10 },
            failure_rate: 0.5,
            window: minutes(1),
            probe_interval: Duration::from_secs(if touchy { 2 } else { 10 }),
        },
        dead_letters: DeadLetterSettings {
            pause_after_run: if touchy { 2 } else { 100 },
            pause_share: 0.5,
            window: minutes(1),
            pause_min: 50,
            replay_share: 0.25,
            allow_edit: false,
            retention: minutes(60 * 24 * 90),
        },
        keys: KeySettings { active: "k1".to_owned(), keys: Vec::new() },
        admin: AdminSettings { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), token: None },
        telemetry: TelemetrySettings { otlp_endpoint: None, log_json: false },
    }
}
