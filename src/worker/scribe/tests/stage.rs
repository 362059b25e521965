//! A scribe on a real ledger in a file, whose answers can be lost.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;

use super::super::*;
use crate::clock::{Clock, SystemClock};
use crate::config::Topics;
use crate::contract::results::OutputMode;
use crate::contract::{DeadLetterLimit, InputRecord, TopicRole};
use crate::domain::flow_control::FloodLimits;
use crate::domain::{Origin, Secret};
use crate::ledger::{
    self, Acceptance, Act, EventSummary, Gathered, Gathering, HashKey, IntakeOrders, LaneCorrection, LaneRow,
    LedgerIdentity, NewRow, Note, NoteKind, PauseKind, Purge, Purged, Reopening, RowState, Serves, StartedRow,
    StoredRow, Unpublished, Vault,
};

pub struct Stage {
    _folder: TempDir,
    pub ledger: Arc<Forgetful>,
    pub preparer: Arc<Preparer>,
    pub jobs: UnboundedSender<Job>,
    reports: UnboundedReceiver<Written>,
    scribe: Option<Scribe>,
}

impl Stage {
    pub async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = Secret::from(format!("sqlite://{}", folder.path().join("ledger.db").display()));
        let vault = Arc::new(Vault::new("k1", vec![("k1".to_owned(), Secret::new(vec![1; 32]))]).unwrap());
        ledger::migrate(&url, &vault).await.unwrap();
        let ledger = Arc::new(Forgetful { inner: ledger::open(&url).await.unwrap(), lost: AtomicUsize::new(0) });
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let hash_key = HashKey::open(&ledger.identity().await.unwrap(), &vault).unwrap();
        let topics = Topics {
            created: "created".to_owned(),
            linked: "linked".to_owned(),
            rejected: "rejected".to_owned(),
            dead_letter: "dlq".to_owned(),
        };
        let preparer = Arc::new(Preparer {
            vault,
            hash_key,
            mode: OutputMode::Structured,
            topics,
            dead_letter_limit: DeadLetterLimit::USUAL,
            clock: Arc::clone(&clock),
            adopted_at: None,
            old_after: Duration::from_secs(3600),
        });
        let (jobs, asked) = unbounded_channel();
        let (reports_to, reports) = unbounded_channel();
        let scribe = Scribe {
            ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
            preparer: Arc::clone(&preparer),
            conditions: Conditions::new(Arc::clone(&clock)),
            metrics: Metrics::new().unwrap(),
            confirmations: Confirmations::new(clock),
            jobs: asked,
            reports: reports_to,
            numbering: BTreeMap::new(),
        };
        Self { _folder: folder, ledger, preparer, jobs, reports, scribe: Some(scribe) }
    }

    /// Takes lanes over and opens them.
    pub async fn open<const N: usize>(&self, lanes: [i32; N]) -> [Claim; N] {
        let claims = self.raise(lanes).await;
        for claim in claims {
            self.ask(Job::Open { claim, next_seq: 1 });
        }
        claims
    }

    /// Takes lanes over behind the scribe's back.
    pub async fn raise<const N: usize>(&self, lanes: [i32; N]) -> [Claim; N] {
        let rows = self.ledger.raise("a test", &lanes.map(Lane)).await.unwrap();
        rows.iter().map(|row| row.claim).collect::<Vec<_>>().try_into().unwrap()
    }

    pub fn ask(&self, job: Job) {
        self.jobs.send(job).unwrap_or_else(|_| panic!("the scribe is there"));
    }

    /// Accepts these records of a lane, from `offset` on.
    pub fn accept(&self, claim: Claim, offset: i64, values: &[String]) {
        let record = |(offset, value): (i64, &String)| self.preparer.draft(record(claim.lane.0, offset, value), 0, 0);
        let drafts: Vec<Draft> = (offset..).zip(values).map(record).collect();
        self.ask(Job::Accept { claim, position: offset + drafts.len() as i64, drafts });
    }

    /// Ends an event as linked.
    pub fn end(&self, claim: Claim, id: &str) {
        let records = vec![OutgoingRecord {
            topic: TopicRole::Linked,
            key: None,
            value: id.as_bytes().to_vec(),
            headers: Vec::new(),
        }];
        let ending = Ending { state: RowState::Linked, reason: None, failed_ms_ago: None, records };
        let end = End {
            key: identity(id).key(),
            lane: claim.lane,
            ending,
            attempts: Attempts::default(),
            timeline: String::new(),
        };
        self.ask(Job::End(claim, end));
    }

    /// Lets the scribe work through all that was asked for since, in one flush, and answers what it reported.
    pub async fn flush(&mut self) -> Vec<Written> {
        let mut scribe = self.scribe.take().unwrap();
        let mut jobs = Vec::new();
        while let Ok(job) = scribe.jobs.try_recv() {
            jobs.push(job);
        }
        scribe.flush(jobs.into_iter()).await.unwrap();
        self.scribe = Some(scribe);
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }

    /// The numbers in a lane's outbox.
    pub async fn outbox(&self, claim: Claim) -> Vec<i64> {
        let rows = self.ledger.unpublished(&[(claim, 0)]).await.unwrap();
        rows.iter().map(|row| row.publish_seq.0).collect()
    }
}

pub fn identity(id: &str) -> crate::domain::EventIdentity {
    crate::domain::EventIdentity { source: "tests".to_owned(), id: id.to_owned() }
}

/// A valid event.
pub fn event(id: &str, title: &str) -> String {
    serde_json::json!({
        "specversion": "1.0", "type": "payments.profile-created.v1", "source": "tests", "id": id,
        "data": {
            "customer": {"system": "loanpro", "id": "42"},
            "token": {"kind": "permanent", "value": "a-token"},
            "account": {"kind": "checking", "lastFour": "1234"},
            "title": title
        }
    })
    .to_string()
}

pub fn record(partition: i32, offset: i64, value: &str) -> InputRecord {
    InputRecord {
        origin: Origin { topic: "created".to_owned(), partition, offset, timestamp: 1_700_000_000_000 },
        key: Some(b"42".to_vec()),
        value: Some(Secret::new(value.as_bytes().to_vec())),
        headers: vec![("content-type".to_owned(), Some(b"application/cloudevents+json".to_vec()))],
    }
}

/// A ledger that does what it is told, and whose answers are lost as often as a test says.
pub struct Forgetful {
    inner: Arc<dyn Ledger>,
    pub lost: AtomicUsize,
}

impl Forgetful {
    fn answer<T>(&self, answer: T) -> Result<T, LedgerError> {
        let left = self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map_or(Ok(answer), |_| Err(LedgerError::Unavailable("the answer was lost".to_owned())))
    }
}

#[async_trait]
impl Ledger for Forgetful {
    async fn gather(&self, gathering: &Gathering) -> Result<Gathered, LedgerError> {
        self.inner.gather(gathering).await
    }
    async fn accept(&self, lanes: &[AcceptLane], rows: &[NewRow]) -> Result<Acceptance, LedgerError> {
        self.answer(self.inner.accept(lanes, rows).await?)
    }
    async fn started(&self, claims: &[Claim], rows: &[StartedRow]) -> Result<Refused, LedgerError> {
        self.answer(self.inner.started(claims, rows).await?)
    }
    async fn converted(&self, claims: &[Claim], rows: &[ConvertedRow]) -> Result<Refused, LedgerError> {
        self.answer(self.inner.converted(claims, rows).await?)
    }
    async fn end(&self, claims: &[Claim], rows: &[EndedRow]) -> Result<Refused, LedgerError> {
        self.answer(self.inner.end(claims, rows).await?)
    }
    async fn back_off(&self, claims: &[Claim], rows: &[BackOffRow]) -> Result<Refused, LedgerError> {
        self.answer(self.inner.back_off(claims, rows).await?)
    }
    async fn save_cursors(&self, cursors: &[(Claim, i64)]) -> Result<Refused, LedgerError> {
        self.answer(self.inner.save_cursors(cursors).await?)
    }
    async fn identity(&self) -> Result<LedgerIdentity, LedgerError> {
        self.inner.identity().await
    }
    async fn bind(&self, serves: &Serves) -> Result<(), LedgerError> {
        self.inner.bind(serves).await
    }
    async fn adopt(&self, serves: &Serves, act: &Act) -> Result<(), LedgerError> {
        self.inner.adopt(serves, act).await
    }
    fn slots(&self) -> usize {
        self.inner.slots()
    }
    async fn raise(&self, owner: &str, lanes: &[Lane]) -> Result<Vec<LaneRow>, LedgerError> {
        self.inner.raise(owner, lanes).await
    }
    async fn note_topic(&self, claims: &[Claim], topic_id: &str) -> Result<Vec<(Lane, Option<i64>)>, LedgerError> {
        self.inner.note_topic(claims, topic_id).await
    }
    async fn correct_lanes(&self, corrections: &[LaneCorrection]) -> Result<Refused, LedgerError> {
        self.inner.correct_lanes(corrections).await
    }
    async fn unfinished(&self, claims: &[Claim], only: Option<&[EventKey]>) -> Result<Vec<StoredRow>, LedgerError> {
        self.inner.unfinished(claims, only).await
    }
    async fn unpublished(&self, claims: &[(Claim, i64)]) -> Result<Vec<Unpublished>, LedgerError> {
        self.inner.unpublished(claims).await
    }
    async fn epochs(&self, lanes: &[Lane]) -> Result<Vec<Claim>, LedgerError> {
        self.inner.epochs(lanes).await
    }
    async fn release(&self, lanes: &[(Claim, bool)]) -> Result<Refused, LedgerError> {
        self.inner.release(lanes).await
    }
    async fn leave_notes(&self, notes: &[(EventKey, NoteKind)]) -> Result<(), LedgerError> {
        self.inner.leave_notes(notes).await
    }
    async fn notes(&self, claims: &[Claim]) -> Result<Vec<Note>, LedgerError> {
        self.inner.notes(claims).await
    }
    async fn remove_notes(&self, claims: &[Claim], numbers: &[i64]) -> Result<Refused, LedgerError> {
        self.inner.remove_notes(claims, numbers).await
    }
    async fn reopen(&self, rows: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError> {
        self.inner.reopen(rows, act).await
    }
    async fn pause(&self, kind: PauseKind, act: &Act) -> Result<(), LedgerError> {
        self.inner.pause(kind, act).await
    }
    async fn resume(
        &self,
        kind: Option<PauseKind>,
        limits: FloodLimits,
        act: &Act,
    ) -> Result<Vec<PauseKind>, LedgerError> {
        self.inner.resume(kind, limits, act).await
    }
    async fn intake(&self) -> Result<IntakeOrders, LedgerError> {
        self.inner.intake().await
    }
    async fn purge(&self, purge: &Purge) -> Result<Purged, LedgerError> {
        self.inner.purge(purge).await
    }
    async fn find(&self, event_id: &str) -> Result<Vec<EventSummary>, LedgerError> {
        self.inner.find(event_id).await
    }
    async fn row(&self, key: EventKey) -> Result<Option<StoredRow>, LedgerError> {
        self.inner.row(key).await
    }
}
