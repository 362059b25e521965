//! A look whether a dead letter's profile is there, as a person asks for one before the event may be another.
//!
//! One look, since nothing is under way any more: who asks has waited until a call of the event's last worker must have ended and
//! become visible. Only a certain answer counts.

use crate::domain::outcome::{CustomerCheck, LookOutcome};
use crate::upstream::{LinkTarget, LookUp};

/// What a look said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// It is not there, for sure.
    Absent,
    /// It is there, under this id.
    Found(String),
    /// Nobody can say.
    Unsure(String),
    /// The target refuses us: credential, tenant or address.
    Misconfigured(String),
}

/// Looks. Nobody is linked to a customer who is really missing.
pub async fn look(target: &dyn LinkTarget, look_up: &LookUp) -> Looked {
    match target.look_up(look_up).await {
        LookOutcome::Absent => Looked::Absent,
        LookOutcome::Found { profile, .. } => Looked::Found(profile.id),
        LookOutcome::Failed { detail, .. } => Looked::Unsure(detail),
        LookOutcome::Misconfigured { detail } => Looked::Misconfigured(detail),
        LookOutcome::CustomerMissing { detail } => match target.check_customer(&look_up.customer).await {
            CustomerCheck::Missing => Looked::Absent,
            CustomerCheck::Exists => Looked::Unsure(detail),
            CustomerCheck::Unclear { detail } | CustomerCheck::Unwitnessed { detail } => Looked::Unsure(detail),
            CustomerCheck::Misconfigured { detail } => Looked::Misconfigured(detail),
        },
    }
}
