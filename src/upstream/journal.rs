//! What was called on an event's behalf: every HTTP exchange of one piece of work, tokens fetched and pages read included.
//!
//! The notes gather in the task that does the work, so that the vendors' clients need not hand them through.

use std::cell::RefCell;
use std::time::Duration;

use super::http::TransportErrorKind;

tokio::task_local! {
    static NOTES: RefCell<Vec<Note>>;
}

/// One exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `payiq`, `loanpro` or `aloha`.
    pub upstream: &'static str,
    /// `auth`, `convert`, `link`, `lookup`, ...
    pub operation: &'static str,
    /// The answer's status; `None` without an answer.
    pub status: Option<u16>,
    /// Why there is no answer.
    pub error: Option<TransportErrorKind>,
    /// Whether the answer was the list that was asked for, whatever is in it. What cannot be judged in a list is its
    /// customer's trouble; a page in its place is the upstream's.
    pub listed: bool,
    /// How long it took, with a connection to take and an answer to wait for.
    pub took: Duration,
    /// How long it waited before: for the rate limit, and for the gate.
    pub waited: Duration,
}

/// Does the work and answers what was called for it, in order.
pub async fn noted<T>(work: impl Future<Output = T>) -> (T, Vec<Note>) {
    NOTES
        .scope(RefCell::default(), async {
            let done = work.await;
            (done, NOTES.with(RefCell::take))
        })
        .await
}

/// Notes an exchange; outside of [`noted`] nobody wants to know. Every [`Transport`](super::http::Transport) does.
pub fn note(note: Note) {
    let _ = NOTES.try_with(|notes| notes.borrow_mut().push(note));
}

/// Notes of the last exchange that its answer was the list that was asked for; for whoever reads it.
pub fn listed() {
    let _ = NOTES.try_with(|notes| {
        if let Some(note) = notes.borrow_mut().last_mut() {
            note.listed = true;
        }
    });
}
