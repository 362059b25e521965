//! What a watcher in the same process is told of an event's progress; `dev` shows it.

use super::dispatcher::Dispatcher;
use crate::domain::{EventIdentity, EventKey};

/// A step that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The ledger owns the event.
    Accepted,
    /// The permanent token is known.
    Converted,
}

/// An event made a step.
#[derive(Debug, Clone)]
pub struct Milestone {
    /// Which event.
    pub event: EventIdentity,
    /// Which step.
    pub step: Step,
}

impl Dispatcher {
    /// Tells the watcher, if there is one.
    pub(super) fn tell(&self, key: EventKey, step: Step) {
        let (Some(watcher), Some(event)) = (&self.shared.milestones, self.events.get(&key)) else { return };
        // A watcher that has gone misses nothing that the result topics do not say.
        let _ = watcher.send(Milestone { event: event.identity.clone(), step });
    }
}
