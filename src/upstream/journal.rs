//! What was called on an event's behalf: every HTTP exchange of one piece of work, tokens fetched and pages read included.
//!
//! The notes gather in the task that does the work, so that the vendors' clients need not hand them through.

use std::cell::RefCell;
use std::time::Duration;

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
    /// How long it took.
    pub took: Duration,
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

/// Notes an exchange; outside of [`noted`] nobody wants to know.
pub(super) fn note(note: Note) {
    let _ = NOTES.try_with(|notes| notes.borrow_mut().push(note));
}
