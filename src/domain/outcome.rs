//! What a call to a vendor came to: decided where the answer is read, judged by the [`machine`](super::machine).

use std::time::Duration;

use super::ReasonCode;

/// What a call's answer means for what to do next.
pub enum CallOutcome<T> {
    /// It was done, and this is the proof.
    Done(T),
    /// It was certainly not applied: safe to send again.
    NotApplied {
        /// The vendor's `Retry-After`, capped.
        retry_after: Option<Duration>,
        /// For people; scrubbed.
        detail: String,
    },
    /// It may have been applied: look before sending again.
    Unknown {
        /// The vendor's `Retry-After`, capped.
        retry_after: Option<Duration>,
        /// For people; scrubbed.
        detail: String,
    },
    /// Refused for the event's own reason.
    Refused(Refusal),
    /// Our credential, tenant or URL is wrong: the service's trouble, not the event's.
    Misconfigured {
        /// For people; scrubbed.
        detail: String,
    },
    /// The gate did not open: the lane is no longer ours; nothing was sent.
    Withdrawn,
}

impl<T> CallOutcome<T> {
    /// See [`Observation::as_own_failure`](super::machine::Observation::as_own_failure).
    #[must_use]
    pub fn as_own_failure(self) -> Self {
        match self {
            Self::Misconfigured { detail } => Self::NotApplied { retry_after: None, detail },
            other => other,
        }
    }

    /// Whether something went wrong, whoever is to blame.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Done(_) | Self::Withdrawn)
    }

    /// The outcome without what was done, and that beside it.
    pub fn split(self) -> (CallOutcome<()>, Option<T>) {
        match self {
            Self::Done(value) => (CallOutcome::Done(()), Some(value)),
            Self::NotApplied { retry_after, detail } => (CallOutcome::NotApplied { retry_after, detail }, None),
            Self::Unknown { retry_after, detail } => (CallOutcome::Unknown { retry_after, detail }, None),
            Self::Refused(refusal) => (CallOutcome::Refused(refusal), None),
            Self::Misconfigured { detail } => (CallOutcome::Misconfigured { detail }, None),
            Self::Withdrawn => (CallOutcome::Withdrawn, None),
        }
    }
}

/// A vendor's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The contract's reason.
    pub code: ReasonCode,
    /// For people; scrubbed.
    pub detail: String,
}

/// What a link's answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkAnswer {
    /// Done, and this is the profile's id.
    Named(String),
    /// Done by its own word, but it names nothing: read back.
    Unnamed,
}

/// A profile of ours that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundProfile {
    /// The link target's id of it.
    pub id: String,
    /// Whether it is the customer's primary.
    pub primary: bool,
    /// Whether it is secondary.
    pub secondary: bool,
    /// Its title as it stands there.
    pub title: Option<String>,
    /// Whether it is active.
    pub active: bool,
    /// The customer's present primary profile, if that is another one.
    pub other_primary: Option<String>,
    /// What it is, where the target tells.
    pub form: Option<AccountForm>,
}

impl FoundProfile {
    /// A profile of which only the id is known.
    #[must_use]
    pub fn named(id: String) -> Self {
        Self { id, primary: false, secondary: false, title: None, active: true, other_primary: None, form: None }
    }
}

/// What a payment profile is, as its target tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountForm {
    /// A card.
    Card,
    /// A checking account.
    Checking,
    /// A savings account.
    Savings,
}

/// What a look-up saw.
pub enum LookOutcome {
    /// Ours is there.
    Found {
        /// The one that counts: the first that is active, else the first.
        profile: FoundProfile,
        /// How many more are ours by the same sign: made by hand, or a second link of ours. A person must look.
        others: usize,
    },
    /// All pages read, none is ours.
    Absent,
    /// The target says that there is no such customer; proves nothing by itself.
    CustomerMissing {
        /// For people; scrubbed.
        detail: String,
    },
    /// The look-up itself failed; look again.
    Failed {
        /// The vendor's `Retry-After`, capped.
        retry_after: Option<Duration>,
        /// For people; scrubbed.
        detail: String,
    },
    /// Our credential, tenant or URL is wrong.
    Misconfigured {
        /// For people; scrubbed.
        detail: String,
    },
}

impl LookOutcome {
    /// All that are ours, in the target's order. Deactivating a profile by hand does not undo that it was linked, but where
    /// several are ours an active one is what can be charged.
    #[must_use]
    pub fn of(mut ours: Vec<FoundProfile>) -> Self {
        if ours.is_empty() {
            return Self::Absent;
        }
        let others = ours.len() - 1;
        let first = ours.iter().position(|profile| profile.active).unwrap_or(0);
        Self::Found { profile: ours.swap_remove(first), others }
    }
}

/// What the customer check found.
pub enum CustomerCheck {
    /// This customer exists.
    Exists,
    /// The target, asked for this customer alone, says that it is missing; LoanPro *after* a customer known to exist was found.
    Missing,
    /// This customer is missing, and so might every other be: no customer was ever found that would show the tenant to be
    /// right.
    Unwitnessed {
        /// For people; scrubbed.
        detail: String,
    },
    /// Neither could be established (a call failed).
    Unclear {
        /// For people; scrubbed.
        detail: String,
    },
    /// A customer known to exist is not found, or our credential is refused: the tenant is wrong.
    Misconfigured {
        /// For people; scrubbed.
        detail: String,
    },
}
