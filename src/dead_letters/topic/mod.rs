//! Dead letters as their topic has them: an index made by reading it, for the day on which the ledger is lost.
//!
//! The topic knows what was dead-lettered, and the result topics what became of it since; it does not know what is being
//! replayed, what was discarded, nor how far an event got. So each is in the state `dead-lettered`, and there is no timeline.
//! Sealed originals are not kept in memory: they are read again, by their place, when they are asked for.

mod fault;
mod index;
mod letter;
mod original;
mod queries;

pub use fault::Fault;
pub use index::{Index, IndexFull, Letter, MAX_LETTERS, Place, Stray};
pub use original::{Original, original};
