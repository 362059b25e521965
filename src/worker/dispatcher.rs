//! The one task that owns all state in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;

use super::WorkerError;
use super::bulkheads::{Bulkheads, Ticket};
use super::customers::Customers;
use super::event::Event;
use super::gate::Confirmations;
use super::intake::Drafted;
use super::lane::Lane;
use super::ledger_time::LedgerTime;
use super::milestone::{Milestone, Step};
use super::notes::Heard;
use super::ownership::Leaving;
use super::pause_watch::Reading;
use super::pausing::Pausing;
use super::prepare::Preparer;
use super::publishing::CycleInFlight;
use super::replaying::Replays;
use super::retention::{Retention, Run};
use super::scribe::{Job, Written};
use super::takeover::Opened;
use super::turns::Turns;
use crate::clock::Clock;
use crate::conditions::{Conditions, Health, Part, Trouble};
use crate::config::WorkerSettings;
use crate::contract::Account;
use crate::domain::machine::{Effect, Observation, Rules};
use crate::domain::{EventKey, Secret, System};
use crate::kafka::{Committed, CycleError, Publisher, Source, SourceEvent};
use crate::ledger::{self, Claim, Ledger};
use crate::metrics::Metrics;
use crate::pulse::Pulse;
use crate::traces::Traces;
use crate::upstream::Upstreams;
use crate::upstream::journal::Note;

/// How often ownership is confirmed, cursors are saved and waits are checked.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The consumer says a trouble once, and nothing of its end while there is nothing to fetch.
const TROUBLE_FADES: Duration = Duration::from_secs(10);

/// What everything beside the dispatcher shares.
pub(super) struct Shared {
    pub source: Arc<dyn Source>,
    pub publisher: Arc<dyn Publisher>,
    pub ledger: Arc<dyn Ledger>,
    pub ledger_id: [u8; 8],
    pub upstreams: Upstreams,
    pub preparer: Arc<Preparer>,
    pub confirmations: Arc<Confirmations>,
    pub clock: Arc<dyn Clock>,
    /// Told how the parts are; nothing is decided by them.
    pub conditions: Conditions,
    /// Told what happens, for dashboards.
    pub metrics: Metrics,
    /// Told the same, for those who follow one event.
    pub traces: Traces,
    pub settings: WorkerSettings,
    pub rules: BTreeMap<System, Rules>,
    /// The longest time-out of a call, connect included.
    pub longest_call: Duration,
    /// How long after a fence the group is asked whether the lane is ours.
    pub retake_pause: Duration,
    /// Name of this process in the ledger's lanes.
    pub owner: String,
    /// Tells a topic made anew from the one that the ledger knows.
    pub topic_id: Option<String>,
    /// Started with `--adopt-ledger`: Kafka's positions count, whoever committed them.
    pub adopting: bool,
    /// Who is told of each event's progress.
    pub milestones: Option<UnboundedSender<Milestone>>,
}

/// What the helpers of the dispatcher report.
pub(super) enum Report {
    /// A call's answer.
    Observed(Box<Answered>),
    /// A time has come at which an upstream may be probed.
    Wake,
    /// Lanes were taken over, under this count of topics.
    Opened(u64, Result<Vec<Opened>, WorkerError>),
    /// Fetched records are decoded and sealed.
    Drafted(Drafted),
    /// A lane that another worker took may be taken again, if it is still ours to take: the coordinator answered what was
    /// asked at this time.
    Retake(i32, Duration),
    /// A lane was taken again, under this count of topics.
    Retaken(i32, u64, Result<Vec<Opened>, WorkerError>),
    /// A cycle ended.
    Published(Result<(), CycleError>),
    /// The committed cursors after a cycle in doubt.
    Resolved(Vec<Committed>),
    /// Lanes were released.
    Released(Vec<i32>),
    /// The ledger told the present epochs.
    Epochs(Vec<Claim>, Duration),
    /// The notes of our lanes, and the rows that were reopened.
    Notes(Heard),
    /// A note was left or removed.
    NoteLeft,
    /// The pauses were read, and are on their way to the dispatcher.
    PausesRead,
    /// The flood guard's pause is in the ledger; readings up to this one began before.
    PauseWritten(u64),
    /// A batch of old rows was removed.
    Purged(Run, Result<ledger::Purged, ledger::LedgerError>),
}

/// A call that is over.
pub(super) struct Answered {
    pub key: EventKey,
    pub claim: Claim,
    pub ticket: Ticket,
    pub observation: Observation,
    /// What a conversion gave.
    pub converted: Option<(Secret, Account)>,
    /// What was called for it.
    pub notes: Vec<Note>,
    /// The event's own call, which was not made: its customer was asked for, to tell whether our configuration is mended.
    pub postponed: Option<Effect>,
}

/// All state of the worker.
pub(super) struct Dispatcher {
    pub shared: Arc<Shared>,
    pub lanes: BTreeMap<i32, Lane>,
    pub events: BTreeMap<EventKey, Event>,
    pub customers: Customers,
    /// Events with a call to make, by the upstream that they need.
    pub bulkheads: Bulkheads,
    /// The earliest time at which a wake-up is on its way.
    pub wakes_at: Option<Duration>,
    /// Calls that are out.
    pub running: usize,
    /// The event that runs alone in this process, after it was running in several unclean ends.
    pub alone: Option<EventKey>,
    /// Those that are next to run alone; none of them is counted before.
    pub lone: VecDeque<EventKey>,
    /// What was fetched was let go of; nothing more is taken in.
    pub let_go: bool,
    pub reading_notes: bool,
    /// Whose drafts are accepted next.
    pub turns: Turns,
    pub replays: Replays,
    pub pausing: Pausing,
    /// What time it is, as the pauses' readings tell.
    pub time: LedgerTime,
    pub retention: Retention,
    pub timers: DelayQueue<(EventKey, Claim)>,
    pub scribes: Vec<UnboundedSender<Job>>,
    pub reports: UnboundedSender<Report>,
    pub cycle: Option<CycleInFlight>,
    /// When the next cycle may be put together, after one failed.
    pub cycle_after: Duration,
    /// Since when nothing was published that should have been, and what is told of it.
    pub publishing_trouble: Option<(Duration, Trouble)>,
    /// Until when what the consumer complained about is told, unless it fetches before.
    pub fetching_trouble: Option<(Duration, Trouble)>,
    /// When the oldest event is looked for again.
    pub measure_after: Duration,
    pub pulse: Pulse,
    pub leaving: Option<Leaving>,
    /// Take-overs that are under way.
    pub opening: usize,
    /// Partitions of ours that are being taken again from another worker.
    pub retaking: BTreeSet<i32>,
    /// How often we heard that the topic was made anew: what a take-over found under an earlier count may be of an old one.
    pub topics: u64,
    /// Rows that cannot be worked on and whose end is being written: their note may be read again meanwhile.
    pub ending_at_once: BTreeMap<EventKey, Claim>,
    /// Events that ended since the notes' present reading began: what it read of their rows may be older.
    pub ended_meanwhile: BTreeSet<EventKey>,
    /// Partitions that Kafka's group gave us and that we did not give up.
    pub assigned: Vec<i32>,
    pub intake_paused: bool,
    /// Set once a stop is asked: until then calls may end.
    pub stopping: Option<Duration>,
    pub failed: Option<WorkerError>,
}

/// What the dispatcher listens to.
pub(super) struct Ears {
    pub source: UnboundedReceiver<SourceEvent>,
    pub written: UnboundedReceiver<Written>,
    pub reports: UnboundedReceiver<Report>,
    pub pauses: UnboundedReceiver<Reading>,
    pub stop: CancellationToken,
}

impl Dispatcher {
    /// Runs until it is stopped and has given everything up, or cannot go on.
    pub async fn run(mut self, mut ears: Ears) -> Result<(), WorkerError> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Durable facts first, new work last.
            tokio::select! {
                biased;
                () = ears.stop.cancelled(), if self.stopping.is_none() => self.begin_stop(),
                Some(written) = ears.written.recv() => self.on_written(written),
                Some(report) = ears.reports.recv() => self.on_report(report),
                Some(reading) = ears.pauses.recv() => self.on_reading(reading),
                Some(due) = self.timers.next(), if !self.timers.is_empty() => self.on_due(due.into_inner()),
                _ = heartbeat.tick() => self.on_heartbeat(),
                Some(event) = ears.source.recv() => self.on_source(event),
            }
            self.pump();
            self.compose();
            self.leave();
            self.measure_load();
            self.pulse.beat();
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.has_stopped() {
                return Ok(());
            }
        }
    }

    fn on_source(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Records(records) => {
                self.fetching_trouble = None;
                self.take_in(records);
            }
            SourceEvent::Assigned(partitions) => {
                self.fetching_trouble = None;
                self.open(partitions);
            }
            SourceEvent::Revoked { partitions, lost } => self.on_revoked(partitions, lost),
            SourceEvent::Restarted(partition) => {
                if let Some(lane) = self.lanes.get_mut(&partition) {
                    lane.stale = false;
                }
            }
            SourceEvent::Remade => self.on_remade(),
            SourceEvent::Trouble(why) => {
                tracing::warn!(error = %why, "kafka consumer trouble");
                let trouble = self.shared.conditions.trouble(Part::Broker, Health::Degraded, &why);
                self.fetching_trouble = Some((self.shared.clock.tick() + TROUBLE_FADES, trouble));
            }
            SourceEvent::Fatal(why) => self.failed = Some(WorkerError::Kafka(why)),
        }
    }

    fn on_written(&mut self, written: Written) {
        match written {
            Written::Accepted { claim, position, outcomes, ended } => {
                self.on_accepted(claim, position, outcomes, ended);
            }
            Written::Converted(claim, key) => {
                self.tell(key, Step::Converted);
                self.observe(key, claim, Observation::Stored);
            }
            Written::Ended(claim, key, result) => self.on_ended(claim, key, result),
            Written::Started(claim, keys) => self.on_started(claim, &keys),
            Written::LinkRefused(key) => self.leave_note(key),
            Written::Barrier(claim) => self.on_barrier(claim),
            Written::Fenced(claim) => self.on_fenced(claim),
            Written::Damaged(why) => self.failed = Some(WorkerError::Ledger(why)),
        }
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Observed(answered) => self.on_answer(*answered),
            // What may go now goes after each message.
            Report::Wake => self.wakes_at = None,
            Report::Opened(topics, opened) => self.on_opened(topics, opened),
            Report::Drafted(drafted) => self.on_drafted(drafted),
            Report::Retake(partition, asked_at) => self.retake(partition, asked_at),
            Report::Retaken(partition, topics, opened) => self.on_retaken(partition, topics, opened),
            Report::Published(result) => self.on_published(result),
            Report::Resolved(committed) => self.on_resolved(&committed),
            Report::Released(partitions) => self.on_released(&partitions),
            Report::Epochs(epochs, asked_at) => self.on_epochs(&epochs, asked_at),
            Report::Notes(notes) => self.on_notes(notes),
            Report::NoteLeft => {}
            Report::PausesRead => self.on_pauses_read(),
            Report::PauseWritten(stale) => self.on_pause_written(stale),
            Report::Purged(run, purged) => self.on_purged(run, purged),
        }
    }

    fn on_heartbeat(&mut self) {
        self.confirm_ownership();
        self.read_notes();
        self.read_pauses();
        self.save_cursors();
        self.remove_old_rows();
        self.fetching_trouble.take_if(|(until, _)| *until <= self.shared.clock.tick());
        self.forget_unasked();
        self.measure();
        // What was given up makes room, too.
        self.go_on_drafting();
        self.room_made();
    }

    /// The claim under which a partition is worked on, unless it is being given up.
    pub fn claim(&self, partition: i32) -> Option<Claim> {
        self.lanes.get(&partition).filter(|lane| !lane.leaving).map(|lane| lane.claim)
    }

    /// Whether a report made under this claim still concerns us.
    pub fn is_current(&self, claim: Claim) -> bool {
        self.lanes.get(&claim.lane.0).is_some_and(|lane| lane.claim == claim)
    }

    /// Gives a scribe a job; a lane's jobs always go to the same one.
    pub fn ask(&self, lane: crate::domain::Lane, job: Job) {
        let slot = self.shared.ledger.slot(lane);
        if let Some(scribe) = self.scribes.get(slot) {
            // A scribe ends only after it reported why.
            let _ = scribe.send(job);
        }
    }

    /// Runs something beside the dispatcher that reports back.
    pub fn spawn(&self, task: impl Future<Output = Report> + Send + 'static) {
        let reports = self.reports.clone();
        tokio::spawn(async move {
            // The dispatcher has ended; the ledger knows what its successor needs.
            let _ = reports.send(task.await);
        });
    }
}
