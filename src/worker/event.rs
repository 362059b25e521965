//! One event in memory, from its acceptance until its end is durable.

use std::sync::Arc;
use std::time::Duration;

use super::load::Load;
use crate::contract::{Account, Context, ProfileCreated, Token};
use crate::domain::flow_control::Change;
use crate::domain::machine::{ALONE_FROM_STARTS, Effect, Facts, Flow, Past};
use crate::domain::{EventIdentity, EventKey, Origin, ReasonCode, Secret, System, Upstream};
use crate::ledger::Claim;
use crate::traces::Story;

/// Whether a start counts: that of a row that may have been running when a process ended uncleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// It does not.
    No,
    /// It does, and is written down before.
    Due,
    /// It is being written down.
    Asked,
}

/// An accepted event that has not ended.
pub(super) struct Event {
    pub key: EventKey,
    /// The title under which it is worked on; observations made under another are dropped.
    pub claim: Claim,
    pub origin: Origin,
    pub generation: i32,
    pub identity: EventIdentity,
    pub context: Context,
    pub profile: Arc<ProfileCreated>,
    pub record_key: Option<Vec<u8>>,
    /// It went out of the input's order: it is replayed, or takes the place of one that was edited.
    pub is_replay: bool,
    /// The markers of the events that it replaces.
    pub replaced_markers: Vec<String>,
    /// It is a replay, and its place was given up to a later event of its customer: that one keeps being primary.
    pub overtaken: bool,
    /// The original record as it stands in the ledger: what a dead letter carries.
    pub sealed_record: Arc<[u8]>,
    pub flow: Flow,
    /// The permanent token, once it is known.
    pub token: Option<Secret>,
    /// What the token stands for, once it is known.
    pub account: Option<Account>,
    /// What may have happened before this process begins it.
    pub past: Past,
    /// Whether its next start must be written down first.
    pub count: Count,
    /// Milliseconds since 1970.
    pub first_failed_at: Option<i64>,
    /// A call that waits for a slot, for its upstream, or for its lane to be allowed to call.
    pub pending: Option<Effect>,
    /// Since when, by the monotonic clock.
    pub asked_at: Duration,
    /// Short back-offs in a row through which it kept its place as the one that runs alone.
    pub lone_waits: u32,
    /// The upstream, and its breaker's period, in which a failure of this event was counted last.
    pub counted_in: Option<(Upstream, u64)>,
    /// The upstream that answered it last, if it did with our own misconfiguration; and when, by the monotonic clock.
    pub met_misconfiguration: Option<(Upstream, Duration)>,
    /// Its turn to link is asked for.
    pub awaits_turn: bool,
    /// It is among its customer's next few, whose conversions may run.
    pub in_window: bool,
    /// It waits: for its due time, or until a predecessor's calls must have ended.
    pub held: bool,
    /// What happened since the last write: lines of [`crate::domain::timeline`].
    pub timeline: String,
    /// Begun: from here on the state machine says what happens.
    pub begun: bool,
    /// How it ends, once that is being written: linked, or rejected for this reason. For the metrics.
    pub ended: Option<Option<ReasonCode>>,
    /// Its part of what its lane has in memory.
    pub load: Load,
}

impl Event {
    /// What never changes about it.
    pub fn facts(&self) -> Facts {
        Facts {
            temporary: matches!(self.profile.token, Token::Temporary(_)),
            expires_at: self.profile.expires_at,
            // Aloha knows no primary.
            wants_primary: self.wants_primary() && !self.overtaken,
            refusal_needs_customer: self.profile.customer.system == System::Loanpro,
            found_by_marker: self.profile.customer.system == System::Loanpro,
        }
    }

    /// Whose story its spans tell.
    pub fn story(&self) -> Story<'_> {
        Story { identity: &self.identity, context: &self.context, generation: self.generation }
    }

    /// Whether its profile is to be the primary one, as it says itself.
    pub fn wants_primary(&self) -> bool {
        self.profile.primary && self.profile.customer.system == System::Loanpro
    }

    /// The upstream that its next call goes to.
    pub fn upstream(&self) -> Upstream {
        if self.flow.needs_converter() { Upstream::Payiq } else { self.profile.customer.system.into() }
    }

    /// Its upstream changed: what was heard of it until now may prove nothing.
    pub fn doubt(&mut self, change: &Change) {
        self.flow.doubt_failure();
        if change.tells_of_misconfiguration() {
            self.flow.doubt_absence();
            self.look_if_owed();
        }
    }

    /// Another worker's link of it may have been applied.
    pub fn note_link(&mut self) {
        self.flow.note_link();
        self.look_if_owed();
    }

    /// A link that waits for its call becomes a look, and keeps its place in its upstream's queue.
    fn look_if_owed(&mut self) {
        if self.pending == Some(Effect::Link) && self.flow.owes_look() {
            self.pending = Some(self.flow.look_instead());
        }
    }

    /// Whether it runs alone once its next start is counted.
    pub fn will_run_alone(&self) -> bool {
        self.past.starts + 1 >= ALONE_FROM_STARTS
    }

    /// Whether it was running in so many unclean ends that it runs alone in its process now.
    pub fn runs_alone(&self) -> bool {
        self.past.starts >= ALONE_FROM_STARTS
    }

    /// The markers by which a profile is known as this event's: its own, those of the events that it replaces, and those of the
    /// edited events that may have had its place before the ledger was restored.
    pub fn markers(&self) -> Vec<String> {
        let own = std::iter::once(self.identity.title_marker());
        own.chain(self.replaced_markers.iter().cloned()).chain(self.identity.markers_of_edits()).collect()
    }

    /// What a conversion gave. PayIQ's mask does not fit Aloha's, so there the event's own account counts.
    pub fn take_converted(&mut self, (token, account): (Secret, Account)) {
        self.token = Some(token);
        let keeps_own = self.profile.customer.system == System::Aloha && self.account.is_some();
        if !keeps_own {
            self.account = Some(account);
        }
    }

    /// The title in the LMS: the event's own or the account's name, then the marker. A pure function of the event and of
    /// the converter's answer, never of time or chance.
    pub fn title(&self) -> String {
        let name = match (&self.profile.title, &self.account) {
            (Some(title), _) => title.clone(),
            (None, Some(account)) => account_name(account),
            (None, None) => "Account".to_owned(),
        };
        format!("{name} #{}", self.identity.title_marker())
    }
}

fn account_name(account: &Account) -> String {
    use crate::contract::{AccountKind, Brand};
    let kind = match (account.kind, account.brand) {
        (AccountKind::Checking, _) => "Checking",
        (AccountKind::Savings, _) => "Savings",
        (AccountKind::Card, Some(Brand::Visa)) => "Visa",
        (AccountKind::Card, Some(Brand::Mastercard)) => "Mastercard",
        (AccountKind::Card, Some(Brand::Amex)) => "American Express",
        (AccountKind::Card, Some(Brand::Discover)) => "Discover",
        (AccountKind::Card, Some(Brand::Jcb)) => "JCB",
        (AccountKind::Card, None) => "Card",
    };
    match &account.last_four {
        Some(last_four) => format!("{kind} \u{2022}\u{2022}{last_four}"),
        None => kind.to_owned(),
    }
}
