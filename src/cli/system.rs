//! A worker put together from the configuration: what `run` and `dev` have in common.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use super::check::TopicSizes;
use super::exit::{Exit, Failure};
use super::{Endpoint, check, topics};
use crate::admin::{self, AdminParts, Door, Loop};
use crate::clock::SystemClock;
use crate::conditions::{Conditions, Health, Part};
use crate::config::{Config, Delivery};
use crate::kafka::consumer::KafkaSource;
use crate::kafka::idempotent::IdempotentPublisher;
use crate::kafka::transactional::{Limits, TransactionalPublisher};
use crate::kafka::{KafkaTrouble, Publisher, Source};
use crate::ledger::{self, Act, DeadLetters, Ledger, LedgerError, Vault};
use crate::metrics::Metrics;
use crate::pulse::Pulse;
use crate::traces::Traces;
use crate::upstream;
use crate::upstream::probe::with_sources;
use crate::worker::{Milestone, StartError, Worker, WorkerError, WorkerParts};

/// How long a start waits for the ledger: with the broker's 12 s this stays below the contract's 35 s.
const LEDGER_LIMIT: Duration = Duration::from_secs(15);

/// The dispatcher's heart beats once a second; so long it may be kept from it by a machine that is busy with others.
const DISPATCHER_SILENCE: Duration = Duration::from_secs(30);
/// The consumer is polled twenty times a second.
const POLLING_SILENCE: Duration = Duration::from_secs(30);

/// What `dev` says differently from `run`.
#[derive(Default)]
pub(super) struct Peculiarities {
    /// Stands for the cluster's id, where the broker's own is another at every start.
    pub cluster_id: Option<String>,
    /// Tells topics that are made anew at every start from those that the ledger knows.
    pub topic_id: Option<String>,
    /// Makes the ledger serve this cluster, group and topic from now on.
    pub adopt: Option<Act>,
    /// Who is told of each event's progress.
    pub milestones: Option<UnboundedSender<Milestone>>,
}

/// The vault of `[keys]`.
pub(super) fn vault(config: &Config) -> Result<Vault, Failure> {
    Vault::new(&config.keys.active, config.keys.keys.clone())
        .map_err(|error| Failure::new(Exit::BadConfig, error).at("[keys]"))
}

/// Takes the address of `[admin]`, before anything else is begun.
pub(super) async fn door(config: &Config) -> Result<Door, Failure> {
    Door::open(config.admin.listen).await.map_err(|error| {
        // What has the address now may be the worker that this one follows.
        Failure::new(Exit::TryAgain, with_sources(&error))
            .at("admin.listen")
            .fix("end the process that listens there, or set another admin.listen")
    })
}

/// Puts a worker together, and opens its door; it has reached its ledger and its broker.
pub(super) async fn worker(
    mut config: Config,
    door: Door,
    peculiarities: Peculiarities,
    stop: CancellationToken,
) -> anyhow::Result<(Worker, admin::Running)> {
    let vault = Arc::new(vault(&config)?);
    let upstreams = upstream::build(&config.converter, &config.target).map_err(|error| {
        Failure::new(Exit::BadConfig, with_sources(&error)).fix("correct this table of the configuration")
    })?;
    let traces = traces(&config)?;
    let ledger = open_ledger(&config).await?;
    let sizes = require_topics(&config, peculiarities.cluster_id.is_some()).await?;
    sizes.bound_batches(&mut config.kafka);
    let dead_letter_limit = sizes.dead_letter_limit(&config.kafka);
    let (source, events) = KafkaSource::start(&config.kafka).map_err(|error| kafka_failure(&error, &config))?;
    let cluster_id = match peculiarities.cluster_id {
        Some(cluster_id) => cluster_id,
        None => source.cluster_id().await.map_err(|error| kafka_failure(&error, &config))?,
    };
    let polling = Loop { name: "polling", pulse: source.pulse(), limit: POLLING_SILENCE };
    let source: Arc<dyn Source> = source;
    let (publisher, publishing) = publisher(&config, &source).await?;
    let place = crate::config::ledger_shown(config.ledger.url.expose_str().unwrap_or_default());
    let clock = Arc::new(SystemClock);
    let (conditions, metrics, pulse) = (conditions(&config, Arc::clone(&clock)), Metrics::new()?, Pulse::new());
    let dispatcher = Loop { name: "dispatcher", pulse: pulse.clone(), limit: DISPATCHER_SILENCE };
    let (settings, topic) = (config.admin.clone(), config.kafka.topics.created.clone());
    let parts = WorkerParts {
        config,
        source: (Arc::clone(&source), events),
        publisher,
        ledger: Arc::clone(&ledger),
        vault,
        upstreams,
        conditions: conditions.clone(),
        metrics: metrics.clone(),
        traces,
        pulse,
        clock,
        cluster_id,
        topic_id: peculiarities.topic_id,
        dead_letter_limit,
        adopt: peculiarities.adopt,
        milestones: peculiarities.milestones,
    };
    let worker = Worker::prepare(parts, stop).await.map_err(|error| start_failure(&error, &place))?;
    let loops = [dispatcher, polling].into_iter().chain(publishing).collect();
    let pauses = worker.pauses();
    let shown = AdminParts { ledger, pauses, source, topic, conditions, metrics, loops };
    Ok((worker, admin::serve(door, &settings, shown).await))
}

/// Where `[telemetry]` wants spans to go.
fn traces(config: &Config) -> Result<Traces, Failure> {
    let Some(endpoint) = &config.telemetry.otlp_endpoint else { return Ok(Traces::default()) };
    Traces::to(endpoint).map_err(|error| {
        Failure::new(Exit::BadConfig, with_sources(&error))
            .at("telemetry.otlp_endpoint")
            .fix("name the collector's base address, such as http://localhost:4318")
    })
}

fn conditions(config: &Config, clock: Arc<SystemClock>) -> Conditions {
    let conditions = Conditions::new(clock);
    for (part, is_there) in
        [(Part::Loanpro, config.target.loanpro.is_some()), (Part::Aloha, config.target.aloha.is_some())]
    {
        if !is_there {
            conditions.set(part, Health::Ok, "not configured");
        }
    }
    conditions
}

/// The ledger, of this build's version.
pub(super) async fn open_ledger(config: &Config) -> Result<Arc<dyn Ledger>, Failure> {
    Ok(open_ledger_with_dead_letters(config).await?.0)
}

/// The ledger by both of its ports.
pub(super) async fn open_ledger_with_dead_letters(
    config: &Config,
) -> Result<(Arc<dyn Ledger>, Arc<dyn DeadLetters>), Failure> {
    let place = crate::config::ledger_shown(config.ledger.url.expose_str().unwrap_or_default());
    let checked = async {
        let opened = ledger::open_with_dead_letters(&config.ledger.url).await?;
        opened.0.identity().await?;
        Ok(opened)
    };
    match tokio::time::timeout(LEDGER_LIMIT, checked).await {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) => Err(ledger_failure(&error, &place)),
        Err(_) => {
            let late = format!("no answer within {} s", LEDGER_LIMIT.as_secs());
            Err(ledger_failure(&LedgerError::Unavailable(late), &place))
        }
    }
}

/// The topics must be there, and such that nothing is lost in them; answers how large records may be. Those of an embedded
/// broker have no settings.
async fn require_topics(config: &Config, embedded: bool) -> Result<TopicSizes, Failure> {
    let endpoint = Endpoint::of_config(config.kafka.clone());
    let missing = topics::missing_after_a_while(&endpoint).await?;
    if missing.is_empty() {
        return match embedded {
            true => Ok(TopicSizes::default()),
            false => check::topics::require(&endpoint, config.ledger.retention).await,
        };
    }
    Err(Failure::new(Exit::BadConfig, format!("missing topics: {}", missing.join(", ")))
        .at(config.kafka.brokers.clone())
        .fix("`profile-linker migrate --topics` makes missing topics"))
}

/// The publisher, and its loop if it has one.
type Publishing = (Arc<dyn Publisher>, Option<Loop>);

async fn publisher(config: &Config, source: &Arc<dyn Source>) -> Result<Publishing, Failure> {
    let (kafka, limits) = (&config.kafka, Limits::default());
    let made: Result<Publishing, KafkaTrouble> = match kafka.delivery {
        Delivery::Transactional => {
            // The group's name for people, chance for uniqueness: a process never shares its id with another.
            let id = format!("{}-{}", kafka.group, uuid::Uuid::new_v4().simple());
            TransactionalPublisher::start(kafka, &id, limits).await.map(|publisher| {
                let publishing = Loop { name: "publishing", pulse: publisher.pulse(), limit: limits.silence() };
                (Arc::new(publisher) as _, Some(publishing))
            })
        }
        Delivery::Idempotent => {
            IdempotentPublisher::start(kafka, Arc::clone(source)).map(|publisher| (Arc::new(publisher) as _, None))
        }
    };
    made.map_err(|error| kafka_failure(&error, config))
}

fn kafka_failure(error: &KafkaTrouble, config: &Config) -> Failure {
    // What the user may not do is always told in these words; waiting mends none of it.
    if error.0.contains("authorization failed") {
        return Failure::new(Exit::BadConfig, error.to_string())
            .at(config.kafka.brokers.clone())
            .fix("give this client's user the right; `profile-linker check` tells which ones are missing");
    }
    Failure::new(Exit::Unavailable, error.to_string())
        .at(config.kafka.brokers.clone())
        .fix("start the broker, or correct kafka.brokers")
}

fn start_failure(error: &StartError, place: &str) -> Failure {
    match error {
        StartError::Ledger(error) => ledger_failure(error, place),
        StartError::Keys(_) => Failure::new(Exit::BadConfig, error.to_string())
            .at("[keys]")
            .fix("configure the key that this ledger was made with"),
        StartError::MissingKey { key_id, .. } => missing_key(error.to_string(), key_id),
    }
}

/// Sealed rows need a key that is not configured.
pub(super) fn missing_key(what: String, key_id: &str) -> Failure {
    Failure::new(Exit::BadConfig, what).at("[keys]").fix(format!(
        "configure {key_id} again; `profile-linker keys rotate` seals its rows under the active key, then it may go"
    ))
}

/// What a ledger's refusal means for the one who started the command.
pub(super) fn ledger_failure(error: &LedgerError, place: &str) -> Failure {
    let (exit, fix) = ledger_advice(error);
    Failure::new(exit, error.to_string()).at(place).fix(fix)
}

/// What to do about a ledger's refusal.
pub(super) fn ledger_fix(error: &LedgerError) -> &'static str {
    ledger_advice(error).1
}

fn ledger_advice(error: &LedgerError) -> (Exit, &'static str) {
    match error {
        LedgerError::Unavailable(_) => (Exit::Unavailable, "start the database, or correct ledger.url"),
        LedgerError::InUse(_) => (
            Exit::Unavailable,
            "end the worker (or `dev`) that has this file open, or name another one by ledger.url; PostgreSQL serves many processes",
        ),
        LedgerError::Damaged(_) => (Exit::Failed, "restore the ledger from a backup"),
        LedgerError::WrongVersion { found, needed } if found < needed => {
            (Exit::BadConfig, "run `profile-linker migrate` with the same configuration")
        }
        LedgerError::WrongVersion { .. } => (Exit::BadConfig, "use the build that made this ledger, or a newer one"),
        LedgerError::ServesAnother { .. } => (
            Exit::BadConfig,
            "use that ledger's own worker, another ledger.url for this one, or `run --adopt-ledger` to make it serve this from now on",
        ),
        LedgerError::Unusable(_) => (Exit::BadConfig, "correct ledger.url"),
    }
}

/// Who acts, for the audit table: the user as the environment names it; where it does not, as in a container or under cron, the
/// user's number.
pub(super) fn actor() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|name: &String| !name.trim().is_empty());
    let number = || format!("uid {}", rustix::process::getuid().as_raw());
    named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(number)
}

/// How a worker's own end is told.
pub(super) fn worker_failure(error: &WorkerError) -> Failure {
    let exit = match error {
        WorkerError::Misconfigured(_) => Exit::BadConfig,
        WorkerError::Kafka(_) => Exit::Unavailable,
        WorkerError::Ledger(_) => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}
