//! What an operator does with dead letters, beyond a single statement of the ledger: a replay in steps, an event that a person
//! mends, and the dead letters as the events that others know. The commands are one user of it; nothing here prints or asks.
//!
//! A replay reopens rows; their lanes' owners take them up and they go a live event's way. So it may end at any point, be begun
//! again, or run twice at once: a row is reopened by one of them, and what was reopened needs nobody's further help.

mod edit;
mod event;
mod looking;
mod opening;
mod ramp;
mod replay;
pub mod topic;

pub use edit::{Edit, EditError, EditFault};
pub use event::event;
pub use looking::{Looked, look};
pub use opening::Opener;
pub use ramp::{Ending, Ramp, Results};
pub use replay::{Order, Replay, Replayed, Taken};
