//! Transaction calls block, and one of them can ignore its time-out. So they are made on a thread of their own, under a
//! watchdog: a producer that is stuck is left on its thread for good, and another takes its place under the same
//! transactional id, which fences the old one and resolves its transaction.
//!
//! Not all of it, always: a broker that comes back can lose the end marker of a partition (Kafka 4.3.1, seen after
//! `kill -9` of the only broker). Then the partition keeps that transaction open under a producer id that we go on with,
//! and the end of our *next* transaction there would end it the same way: what was aborted becomes visible, and a cursor
//! that was never committed counts. So a transaction that certainly did not commit is played once more by the new
//! producer, and aborted: its markers then stand in each of its partitions, before anything is committed there. It is
//! certain if the commit was never asked for, and later if its results are sent again, since then the cursor told so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};

use super::{Cycle, CycleError, KafkaTrouble};
use crate::pulse::Pulse;

/// Producers that may be stuck: each keeps its thread and its memory, and the next one is no luckier.
const MAX_STUCK: u32 = 3;
/// How often a hand without a job tells that its thread goes on.
const IDLE: Duration = Duration::from_secs(1);
/// Pause between attempts to make the producer anew.
const REMAKE_PAUSE: Duration = Duration::from_millis(500);

/// Publishes one cycle, or plays it and aborts it; lives on its thread, the producer within.
pub(super) type Hand = Box<dyn Fn(&Attempt, Intent) -> Result<(), CycleError>>;
/// Makes a hand, on its thread.
pub(super) type Make = dyn Fn() -> Result<Hand, KafkaTrouble> + Send + Sync;

/// How a transaction is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// Visible.
    Commit,
    /// Invisible: only its end markers matter.
    Abort,
}

/// A cycle on its way.
pub(super) struct Attempt {
    pub cycle: Cycle,
    commit_asked: AtomicBool,
}

impl Attempt {
    fn new(cycle: Cycle) -> Self {
        Self { cycle, commit_asked: AtomicBool::new(false) }
    }

    /// From now on nobody but the broker knows whether it is committed. To be called before the commit.
    pub fn asks_for_commit(&self) {
        self.commit_asked.store(true, Ordering::SeqCst);
    }

    fn may_be_committed(&self) -> bool {
        self.commit_asked.load(Ordering::SeqCst)
    }

    /// Whether a record of it is in the other one, too. Each result has an id of its own, so its bytes tell.
    fn is_repeated_by(&self, other: &Self) -> bool {
        let ours: BTreeSet<&[u8]> = self.cycle.records.iter().map(|record| &record.value[..]).collect();
        other.cycle.records.iter().any(|record| ours.contains(&record.value[..]))
    }
}

/// When a call counts as stuck: longer than all time-outs within it together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Of a whole cycle.
    pub cycle: Duration,
    /// Of making a producer.
    pub make: Duration,
}

/// A hand under watch.
pub(super) struct Watched {
    make: Arc<Make>,
    patience: Patience,
    pulse: Pulse,
    state: Mutex<State>,
}

struct State {
    /// To the present hand's thread; `None` while there is none.
    jobs: Option<Sender<Job>>,
    /// The last one, if its commit was asked for and not answered.
    doubtful: Option<Arc<Attempt>>,
    stuck: u32,
}

struct Job {
    attempt: Arc<Attempt>,
    intent: Intent,
    answer: oneshot::Sender<Result<(), CycleError>>,
}

impl Watched {
    /// Makes the first hand, once.
    pub async fn start(make: Arc<Make>, patience: Patience) -> Result<Self, KafkaTrouble> {
        let late = || KafkaTrouble(format!("no producer within {} s", patience.make.as_secs()));
        let pulse = Pulse::new();
        let jobs = tokio::time::timeout(patience.make, begin(&make, &pulse)).await.map_err(|_| late())??;
        let state = Mutex::new(State { jobs: Some(jobs), doubtful: None, stuck: 0 });
        Ok(Self { make, patience, pulse, state })
    }

    /// Beaten by hands that wait for a job or have done one, and while there is none to be had.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Has a cycle published. After anything indefinite there is a new hand before the answer is given.
    pub async fn publish(&self, cycle: Cycle) -> Result<(), CycleError> {
        let mut state = self.state.lock().await;
        if state.jobs.is_none() {
            // A remake that its caller did not wait for.
            self.remake(&mut state).await?;
        }
        let attempt = Arc::new(Attempt::new(cycle));
        // What is sent again was looked for in the committed cursor, and not found there.
        if let Some(doubtful) = state.doubtful.take().filter(|doubtful| doubtful.is_repeated_by(&attempt)) {
            self.undo(&mut state, &doubtful).await?;
        }
        let result = self.watched(&mut state, &attempt, Intent::Commit).await;
        if let Err(CycleError::InDoubt(why)) = &result {
            tracing::warn!(error = %why, "a transaction's outcome is unknown; making the producer anew");
            state.jobs = None;
            self.remake(&mut state).await?;
            // Read now: a hand that is stuck could still ask for a commit before the new one fenced it.
            if attempt.may_be_committed() {
                state.doubtful = Some(attempt);
            } else {
                self.undo(&mut state, &attempt).await?;
            }
        }
        result
    }

    /// Has the transaction played again and aborted, for as long as it takes: no commit may come before.
    async fn undo(&self, state: &mut State, attempt: &Arc<Attempt>) -> Result<(), CycleError> {
        loop {
            match self.watched(state, attempt, Intent::Abort).await {
                Ok(()) => return Ok(()),
                Err(CycleError::Stuck(why)) => return Err(CycleError::Stuck(why)),
                Err(error) => {
                    tracing::warn!(error = %error, "an old transaction's end is not marked yet; trying again")
                }
            }
            state.jobs = None;
            self.remake(state).await?;
        }
    }

    async fn watched(&self, state: &mut State, attempt: &Arc<Attempt>, intent: Intent) -> Result<(), CycleError> {
        let (answer, answered) = oneshot::channel();
        let job = Job { attempt: Arc::clone(attempt), intent, answer };
        let ended = || CycleError::InDoubt("the transaction thread ended".to_owned());
        state.jobs.as_ref().ok_or_else(ended)?.send(job).map_err(|_| ended())?;
        match tokio::time::timeout(self.patience.cycle, answered).await {
            Ok(answer) => answer.map_err(|_| ended())?,
            Err(_) => Err(self.count_stuck(state, "a transaction call ignores its time-out")?),
        }
    }

    /// Makes a hand, for as long as it takes: without one nothing can be published or resolved.
    async fn remake(&self, state: &mut State) -> Result<(), CycleError> {
        loop {
            self.pulse.beat();
            match tokio::time::timeout(self.patience.make, begin(&self.make, &self.pulse)).await {
                Ok(Ok(jobs)) => {
                    state.jobs = Some(jobs);
                    return Ok(());
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = %error, "the transactional producer cannot be made; trying again");
                    tokio::time::sleep(REMAKE_PAUSE).await;
                }
                Err(_) => drop(self.count_stuck(state, "making the producer ignores its time-out")?),
            }
        }
    }

    /// In doubt, or the last straw.
    fn count_stuck(&self, state: &mut State, what: &str) -> Result<CycleError, CycleError> {
        state.jobs = None;
        state.stuck += 1;
        tracing::error!(stuck = state.stuck, "{what}; its producer is left on its thread");
        if state.stuck >= MAX_STUCK {
            return Err(CycleError::Stuck(format!("{what}, for the {}rd time", state.stuck)));
        }
        Ok(CycleError::InDoubt(what.to_owned()))
    }
}

/// Starts a thread with a hand of its own; answers when the hand is made.
async fn begin(make: &Arc<Make>, pulse: &Pulse) -> Result<Sender<Job>, KafkaTrouble> {
    let (jobs, receiver) = channel();
    let (ready, is_ready) = oneshot::channel();
    let (make, pulse) = (Arc::clone(make), pulse.clone());
    std::thread::Builder::new()
        .name("kafka-transactions".to_owned())
        .spawn(move || serve(&*make, &receiver, ready, &pulse))
        .map_err(|error| KafkaTrouble(format!("starting the transaction thread: {error}")))?;
    is_ready.await.map_err(|_| KafkaTrouble("the transaction thread ended".to_owned()))??;
    Ok(jobs)
}

/// Serves until nobody asks any more, or an outcome is indefinite: then this producer must not be used again.
fn serve(make: &Make, jobs: &Receiver<Job>, ready: oneshot::Sender<Result<(), KafkaTrouble>>, pulse: &Pulse) {
    let hand = match make() {
        Ok(hand) => hand,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    if ready.send(Ok(())).is_err() {
        return;
    }
    loop {
        pulse.beat();
        let job = match jobs.recv_timeout(IDLE) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let result = hand(&job.attempt, job.intent);
        let in_doubt = matches!(result, Err(CycleError::InDoubt(_)));
        // A worker that no longer waits has ended; the committed cursor tells its successor.
        let _ = job.answer.send(result);
        if in_doubt {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::contract::{OutgoingRecord, TopicRole};

    const PATIENCE: Patience = Patience { cycle: Duration::from_millis(50), make: Duration::from_millis(50) };

    fn cycle() -> Cycle {
        Cycle { records: Vec::new(), at_ms: None, positions: Vec::new(), group: None }
    }

    /// The first `stuck` hands never come back from a call.
    fn stuck_at_first(stuck: u32) -> (Arc<Make>, Arc<AtomicU32>) {
        let made = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&made);
        let make = move || -> Result<Hand, KafkaTrouble> {
            let is_stuck = count.fetch_add(1, Ordering::SeqCst) < stuck;
            Ok(Box::new(move |attempt, _| {
                if !is_stuck {
                    return Ok(());
                }
                attempt.asks_for_commit();
                loop {
                    std::thread::park();
                }
            }))
        };
        (Arc::new(make), made)
    }

    #[tokio::test]
    async fn a_stuck_producer_is_left_and_another_takes_its_place() {
        let (make, made) = stuck_at_first(2);
        let watched = Watched::start(make, PATIENCE).await.unwrap();
        for _ in 0..2 {
            assert!(matches!(watched.publish(cycle()).await, Err(CycleError::InDoubt(_))));
        }
        assert_eq!(watched.publish(cycle()).await, Ok(()));
        assert_eq!(made.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn the_third_stuck_producer_is_the_last() {
        let watched = Watched::start(stuck_at_first(3).0, PATIENCE).await.unwrap();
        for _ in 0..2 {
            assert!(matches!(watched.publish(cycle()).await, Err(CycleError::InDoubt(_))));
        }
        assert!(matches!(watched.publish(cycle()).await, Err(CycleError::Stuck(_))));
    }

    #[tokio::test]
    async fn a_producer_is_not_used_again_after_anything_indefinite() {
        let made = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&made);
        let make = move || -> Result<Hand, KafkaTrouble> {
            let number = count.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(move |_, _| if number == 0 { Err(CycleError::InDoubt("lost".to_owned())) } else { Ok(()) }))
        };
        let watched = Watched::start(Arc::new(make), PATIENCE).await.unwrap();
        assert!(matches!(watched.publish(cycle()).await, Err(CycleError::InDoubt(_))));
        assert_eq!(made.load(Ordering::SeqCst), 2, "made anew before the answer is given");
        assert_eq!(watched.publish(cycle()).await, Ok(()));
    }

    fn cycle_of(value: &str) -> Cycle {
        let record = OutgoingRecord {
            topic: TopicRole::Linked,
            key: None,
            value: value.as_bytes().to_vec(),
            headers: Vec::new(),
        };
        Cycle { records: vec![record], ..cycle() }
    }

    /// All hands' intents, for a cycle whose outcome is lost, after its commit was asked for or before, and the next one.
    async fn intents_after_a_doubt(asked: bool, next: Cycle) -> Vec<Intent> {
        let intents = Arc::<std::sync::Mutex<Vec<Intent>>>::default();
        let told = Arc::clone(&intents);
        let make = move || -> Result<Hand, KafkaTrouble> {
            let told = Arc::clone(&told);
            Ok(Box::new(move |attempt, intent| {
                let mut told = told.lock().unwrap();
                told.push(intent);
                if told.len() > 1 {
                    return Ok(());
                }
                if asked {
                    attempt.asks_for_commit();
                }
                Err(CycleError::InDoubt("lost".to_owned()))
            }))
        };
        let watched = Watched::start(Arc::new(make), PATIENCE).await.unwrap();
        assert!(matches!(watched.publish(cycle_of("first")).await, Err(CycleError::InDoubt(_))));
        assert_eq!(watched.publish(next).await, Ok(()));
        let intents = intents.lock().unwrap();
        intents.clone()
    }

    #[tokio::test]
    async fn a_transaction_that_did_not_commit_is_aborted_again_before_the_next_one() {
        let intents = [Intent::Commit, Intent::Abort, Intent::Commit];
        assert_eq!(intents_after_a_doubt(false, cycle_of("second")).await, intents);
        assert_eq!(intents_after_a_doubt(true, cycle_of("first")).await, intents, "sent again: it is not there");
    }

    #[tokio::test]
    async fn a_transaction_that_may_have_committed_is_left_as_it_is() {
        let intents = intents_after_a_doubt(true, cycle_of("second")).await;
        assert_eq!(intents, [Intent::Commit, Intent::Commit]);
    }
}
