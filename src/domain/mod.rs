//! Pure decisions: identities, failure classes, the retry policy and the state machine of one event.
//!
//! Nothing here does I/O, reads a clock or draws a random number; time and chance come in as parameters.

pub mod failure;
pub mod flow_control;
pub mod ids;
pub mod machine;
pub mod outcome;
pub mod retry;
pub mod secret;
pub mod timeline;

pub use failure::{Attempts, Disposition, Reason, ReasonCode, Stage, Violation};
pub use ids::{Customer, Epoch, EventIdentity, EventKey, Lane, Origin, PublishSeq, System, Upstream};
pub use secret::Secret;
