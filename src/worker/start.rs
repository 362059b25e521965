//! Putting a worker together and running it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;

use super::WorkerError;
use super::bulkheads::Bulkheads;
use super::customers::Customers;
use super::dispatcher::{Dispatcher, Ears, Shared};
use super::gate::Confirmations;
use super::ledger_time::LedgerTime;
use super::milestone::Milestone;
use super::pause_watch::PauseWatch;
use super::pausing::Pausing;
use super::prepare::Preparer;
use super::replaying::Replays;
use super::retaking;
use super::retention::Retention;
use super::scribe::Scribe;
use super::turns::Turns;
use crate::clock::Clock;
use crate::conditions::Conditions;
use crate::config::{Config, LookSettings, RetrySettings};
use crate::contract::DeadLetterLimit;
use crate::domain::System;
use crate::domain::machine::Rules;
use crate::domain::retry::RetryPolicy;
use crate::kafka::{Publisher, Source, SourceEvent};
use crate::ledger::custody::Custody;
use crate::ledger::vault::VaultError;
use crate::ledger::{Act, HashKey, Ledger, LedgerError, Serves, Vault, rotation};
use crate::metrics::Metrics;
use crate::pulse::Pulse;
use crate::traces::Traces;
use crate::upstream::Upstreams;

/// Where no target says otherwise.
const DEFAULT_LOOK: LookSettings = LookSettings { settle: Duration::from_secs(2), looks: 3 };
/// Where no upstream says otherwise; the longest call decides how long a successor waits.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a start counts what each key has sealed: long enough for some hundred thousand rows. A worker that an event waits
/// for is worth more than the numbers.
const KEYS_LIMIT: Duration = Duration::from_secs(3);

/// What a worker is made of.
pub struct WorkerParts {
    /// The configuration.
    pub config: Config,
    /// The consuming side and its events.
    pub source: (Arc<dyn Source>, UnboundedReceiver<SourceEvent>),
    /// The publishing side.
    pub publisher: Arc<dyn Publisher>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The keys that seal.
    pub vault: Arc<Vault>,
    /// The vendors.
    pub upstreams: Upstreams,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// Where its troubles are told.
    pub conditions: Conditions,
    /// What dashboards count.
    pub metrics: Metrics,
    /// Where its spans go.
    pub traces: Traces,
    /// Beaten at every turn of the dispatcher.
    pub pulse: Pulse,
    /// The cluster that the ledger shall serve.
    pub cluster_id: String,
    /// Tells a topic made anew from the one that the ledger knows; `None`: not told apart.
    pub topic_id: Option<String>,
    /// The largest record that can be written to the dead-letter topic.
    pub dead_letter_limit: DeadLetterLimit,
    /// Makes the ledger serve this from now on, whatever it served (`--adopt-ledger`).
    pub adopt: Option<Act>,
    /// Who is told of each event's progress.
    pub milestones: Option<UnboundedSender<Milestone>>,
}

/// Why a worker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ledger is away, of another version, or serves something else.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger's own key does not open.
    #[error("the ledger's hash key: {0}")]
    Keys(#[from] VaultError),
    /// An unfinished event could not be gone on with: better told now than then.
    #[error("{rows} sealed rows of the ledger need the key {key_id:?}, which is not configured")]
    MissingKey {
        /// The key.
        key_id: String,
        /// How many rows.
        rows: u64,
    },
}

/// A worker that is ready to run.
pub struct Worker {
    dispatcher: Dispatcher,
    ears: Ears,
}

impl Worker {
    /// Checks the ledger and binds it to what this worker serves.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn prepare(parts: WorkerParts, stop: CancellationToken) -> Result<Self, StartError> {
        let kafka = &parts.config.kafka;
        let serves = Serves {
            cluster_id: parts.cluster_id.clone(),
            group: kafka.group.clone(),
            topic: kafka.topics.created.clone(),
        };
        match &parts.adopt {
            Some(act) => parts.ledger.adopt(&serves, act).await?,
            None => parts.ledger.bind(&serves).await?,
        }
        let identity = parts.ledger.identity().await?;
        let hash_key = HashKey::open(&identity, &parts.vault)?;
        if let Some(custody) = parts.ledger.custody() {
            look_for_keys(custody, &parts.vault).await?;
        }
        let preparer = Arc::new(Preparer {
            hash_key,
            vault: Arc::clone(&parts.vault),
            mode: kafka.output_mode,
            topics: kafka.topics.clone(),
            dead_letter_limit: parts.dead_letter_limit,
            clock: Arc::clone(&parts.clock),
            adopted_at: identity.adopted_at,
            old_after: parts.config.ledger.retention / 2,
        });
        Ok(Self::assemble(parts, identity.ledger_id, preparer, stop))
    }

    fn assemble(parts: WorkerParts, ledger_id: [u8; 8], preparer: Arc<Preparer>, stop: CancellationToken) -> Self {
        let confirmations = Confirmations::new(Arc::clone(&parts.clock));
        let (written_to, written) = unbounded_channel();
        let (reports_to, reports) = unbounded_channel();
        let mut scribes = Vec::new();
        for _ in 0..parts.ledger.slots() {
            let (sender, jobs) = unbounded_channel();
            let scribe = Scribe {
                ledger: Arc::clone(&parts.ledger),
                preparer: Arc::clone(&preparer),
                confirmations: Arc::clone(&confirmations),
                conditions: parts.conditions.clone(),
                metrics: parts.metrics.clone(),
                jobs,
                reports: written_to.clone(),
                numbering: BTreeMap::new(),
            };
            tokio::spawn(scribe.run());
            scribes.push(sender);
        }
        let (watch, pauses) = PauseWatch::new(
            Arc::clone(&parts.ledger),
            Arc::clone(&parts.clock),
            parts.conditions.clone(),
            parts.metrics.clone(),
        );
        let (source, events) = parts.source;
        let shared = Shared {
            source,
            publisher: parts.publisher,
            ledger: parts.ledger,
            ledger_id,
            upstreams: parts.upstreams,
            preparer,
            confirmations,
            clock: parts.clock,
            conditions: parts.conditions,
            metrics: parts.metrics,
            traces: parts.traces,
            settings: parts.config.worker.clone(),
            rules: rules(&parts.config),
            longest_call: longest_call(&parts.config),
            retake_pause: retaking::pause(&parts.config.kafka.properties),
            owner: owner(),
            topic_id: parts.topic_id,
            adopting: parts.adopt.is_some(),
            milestones: parts.milestones,
        };
        let dispatcher = Dispatcher {
            shared: Arc::new(shared),
            lanes: BTreeMap::new(),
            events: BTreeMap::new(),
            customers: Customers::default(),
            bulkheads: Bulkheads::of(&parts.config),
            wakes_at: None,
            running: 0,
            alone: None,
            lone: VecDeque::new(),
            let_go: false,
            reading_notes: false,
            turns: Turns::of(&parts.config.worker),
            pausing: Pausing::new(&parts.config.dead_letters, watch),
            time: LedgerTime::default(),
            replays: Replays::new(parts.config.dead_letters.replay_share, parts.config.worker.max_in_flight),
            retention: Retention::of(&parts.config),
            timers: DelayQueue::new(),
            scribes,
            reports: reports_to,
            cycle: None,
            cycle_after: Duration::ZERO,
            publishing_trouble: None,
            fetching_trouble: None,
            measure_after: Duration::ZERO,
            pulse: parts.pulse,
            leaving: None,
            opening: 0,
            retaking: BTreeSet::new(),
            topics: 0,
            ending_at_once: BTreeMap::new(),
            ended_meanwhile: BTreeSet::new(),
            assigned: Vec::new(),
            intake_paused: false,
            stopping: None,
            failed: None,
        };
        Self { dispatcher, ears: Ears { source: events, written, reports, pauses, stop } }
    }

    /// What reads the pauses that it obeys: to be asked by whoever has changed them.
    #[must_use]
    pub fn pauses(&self) -> PauseWatch {
        self.dispatcher.pausing.watch.clone()
    }

    /// Runs until it is stopped and has given everything up, or cannot go on; then leaves the group.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn run(self) -> Result<(), WorkerError> {
        let source = Arc::clone(&self.dispatcher.shared.source);
        let traces = self.dispatcher.shared.traces.clone();
        let result = self.dispatcher.run(self.ears).await;
        source.close().await;
        traces.close().await;
        result
    }
}

/// Whether the keys are there that unfinished events need. What only dead letters need is told: a key that is lost for good
/// would keep every worker from its work.
async fn look_for_keys(custody: &dyn Custody, vault: &Vault) -> Result<(), StartError> {
    let counts = match custody.sealed_counts(KEYS_LIMIT).await {
        Ok(counts) => counts,
        Err(error @ LedgerError::Unavailable(_)) => {
            tracing::warn!(error = %error, "not waited for: whether a key is missing that sealed rows need; `check` tells it");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if let Some((key_id, rows)) = rotation::missing(&counts, vault) {
        return Err(StartError::MissingKey { key_id, rows });
    }
    for (key_id, rows) in rotation::wanting(&counts, vault) {
        tracing::warn!(
            key.id = key_id,
            rows,
            "dead letters need a key that is not configured: they cannot be replayed without it",
        );
    }
    Ok(())
}

/// Name of this process in the ledger's lanes: for people only.
fn owner() -> String {
    format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple())
}

fn rules(config: &Config) -> BTreeMap<System, Rules> {
    let loanpro = config.target.loanpro.as_ref().map_or(DEFAULT_LOOK, |target| target.look);
    let aloha = config.target.aloha.as_ref().map_or(DEFAULT_LOOK, |target| target.look);
    [(System::Loanpro, loanpro), (System::Aloha, aloha)]
        .into_iter()
        .map(|(system, look)| (system, rules_of(&config.retry, look, longest_call(config))))
        .collect()
}

fn rules_of(retry: &RetrySettings, look: LookSettings, longest_call: Duration) -> Rules {
    let policy = RetryPolicy::new(retry.initial, retry.multiplier, retry.max_interval, retry.budget, Instant::now());
    Rules { retry: policy, settle: look.settle, looks: look.looks.max(1), longest_call }
}

fn longest_call(config: &Config) -> Duration {
    let converter = config.converter.payiq.as_ref().map(|payiq| payiq.upstream.timeout);
    let loanpro = config.target.loanpro.as_ref().map(|target| target.upstream.timeout);
    let aloha = config.target.aloha.as_ref().map(|target| target.upstream.timeout);
    [converter, loanpro, aloha].into_iter().flatten().max().unwrap_or(DEFAULT_TIMEOUT)
}
