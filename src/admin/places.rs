//! The places of the server's connections: how many there are, and who gives theirs up when somebody else comes.
//!
//! A place is never refused to who comes, since that may be the prober that decides whether this process lives. The
//! connection that has been idle for longest goes: one that says nothing, half a request, or takes its answer too slowly. So
//! clients that hold every place keep nobody out, whatever they do; and who is being answered now is spared.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};

/// How often it is looked for somebody idle while all are being answered, which takes milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The connections that are open.
pub(super) struct Places {
    most: usize,
    tasks: JoinSet<()>,
    guests: Vec<Guest>,
}

/// Since when a connection waits for its client: none while a request of it is being answered.
#[derive(Clone)]
pub(super) struct Idle(Arc<Mutex<Option<Instant>>>);

struct Guest {
    idle: Idle,
    task: AbortHandle,
}

impl Places {
    pub fn new(most: usize) -> Self {
        Self { most, tasks: JoinSet::new(), guests: Vec::new() }
    }

    /// Waits until there is a place, which the one that is idle for longest gives up if need be.
    pub async fn free(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.guests.retain(|guest| !guest.task.is_finished());
            if self.tasks.len() < self.most {
                return;
            }
            if let Some(guest) = self.longest_idle() {
                guest.task.abort();
            }
            // An aborted one ends at its next turn.
            drop(timeout(LOOK_AGAIN, self.tasks.join_next()).await);
        }
    }

    /// Gives a place for as long as the conversation goes on.
    pub fn give<C: Future<Output = ()> + Send + 'static>(&mut self, conversation: impl FnOnce(Idle) -> C) {
        let idle = Idle(Arc::new(Mutex::new(Some(Instant::now()))));
        let task = self.tasks.spawn(conversation(idle.clone()));
        self.guests.push(Guest { idle, task });
    }

    /// Waits until all have gone.
    pub async fn close(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn longest_idle(&self) -> Option<&Guest> {
        let idle = self.guests.iter().filter_map(|guest| guest.idle.since().map(|since| (since, guest)));
        idle.min_by_key(|(since, _)| *since).map(|(_, guest)| guest)
    }
}

impl Idle {
    /// Runs what answers a request; the client has the next word.
    pub async fn busy<T>(&self, answering: impl Future<Output = T>) -> T {
        self.set(None);
        let answer = answering.await;
        self.set(Some(Instant::now()));
        answer
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        // Nothing can panic while it is held.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}
