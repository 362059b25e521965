//! Ways to be wrong, one at a time. Each is a switch in the world or around a seam that does to the worker what the mistake
//! in its own code would do; the simulation must find every one of them.

use profile_linker::kafka::{Cycle, Position};
use profile_linker::ledger::{Acceptance, Accepted};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::vendors::{Reply, Request, Vendor, customer_of};
use crate::world::State;

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The permanent token is not written down before the link is sent.
    SkipWriteAhead,
    /// After an unseen link it is sent again without a look.
    SkipReadBack,
    /// The condition on the epoch does not lock the lane's row.
    UnlockedEpoch,
    /// A changing call leaves without asking the gate.
    NoFreshnessCheck,
    /// The successor begins at once.
    NoWaitForTheWire,
    /// The committed position is that of the fetch.
    PositionBeforeAcceptance,
    /// An end is taken for durable before it is.
    CursorBeforeDurable,
    /// The membership is taken at the commit, and revocations are answered at once (one alone does not show).
    MetadataAtCommit,
    /// A row of ours, accepted by a write whose answer was lost, is taken for a duplicate.
    OursTakenForDuplicate,
    /// What is published again gets a new id.
    NewIdOnRetry,
    /// A row of the outbox goes before it is published.
    RemovesUnpublished,
    /// An old row goes that has not ended.
    PurgesUnfinished,
    /// A reopened row's unpublished result goes.
    ReopeningOverwrites,
    /// A refusal after an attempt that nobody saw is final.
    RefusalAfterUnknownIsFinal,
    /// A fenced worker takes its lanes again without having heard that it is a member.
    RetakesUnasked,
    /// What a restored ledger does not know to have been sent was not sent.
    RestoredRowsAreTrusted,
    /// The topic's id is asked for once in a lifetime.
    TopicMadeAnewIsNotSeen,
    /// Tokens die by the wall clock of the worker's machine: both clocks that they are held against are that one.
    TimeByTheWallClock,
}

/// All of them.
pub const ALL: [Mutation; 18] = [
    Mutation::SkipWriteAhead,
    Mutation::SkipReadBack,
    Mutation::UnlockedEpoch,
    Mutation::NoFreshnessCheck,
    Mutation::NoWaitForTheWire,
    Mutation::PositionBeforeAcceptance,
    Mutation::CursorBeforeDurable,
    Mutation::MetadataAtCommit,
    Mutation::OursTakenForDuplicate,
    Mutation::NewIdOnRetry,
    Mutation::RemovesUnpublished,
    Mutation::PurgesUnfinished,
    Mutation::ReopeningOverwrites,
    Mutation::RefusalAfterUnknownIsFinal,
    Mutation::RetakesUnasked,
    Mutation::RestoredRowsAreTrusted,
    Mutation::TopicMadeAnewIsNotSeen,
    Mutation::TimeByTheWallClock,
];

/// What a mistake must break: another invariant broken in a hunt is no proof of it.
pub fn breaks(mutation: Mutation) -> &'static [&'static str] {
    match mutation {
        Mutation::SkipReadBack | Mutation::RestoredRowsAreTrusted => &["a_profile_is_linked_at_most_once"],
        Mutation::SkipWriteAhead => &["a_profile_is_linked_at_most_once", "what_leaves_is_written_ahead"],
        Mutation::NoFreshnessCheck => &["a_profile_is_linked_at_most_once", "a_call_leaves_a_lane_of_its_own_only"],
        Mutation::NoWaitForTheWire => &[
            "a_profile_is_linked_at_most_once",
            "two_links_of_an_event_are_never_under_way",
            "a_clean_release_leaves_no_link_under_way",
        ],
        // Numbers given twice, results published twice, rows ended under two owners.
        Mutation::UnlockedEpoch => &["a_worker_goes_on", "no_result_is_seen_twice", "every_input_gets_one_result"],
        Mutation::PositionBeforeAcceptance => &["no_offset_passes_unaccepted_input"],
        Mutation::CursorBeforeDurable | Mutation::NewIdOnRetry | Mutation::ReopeningOverwrites => {
            &["a_cursor_covers_durable_and_visible_results_only", "every_input_gets_one_result"]
        }
        Mutation::MetadataAtCommit => &["no_result_is_seen_twice"],
        Mutation::OursTakenForDuplicate => &["everything_ends", "every_input_gets_one_result", "per_customer_order"],
        Mutation::RemovesUnpublished | Mutation::TopicMadeAnewIsNotSeen => {
            &["everything_ends", "every_input_gets_one_result"]
        }
        Mutation::PurgesUnfinished => &["a_worker_goes_on", "every_input_gets_one_result"],
        Mutation::RefusalAfterUnknownIsFinal => &["what_is_linked_is_never_finally_rejected"],
        Mutation::TimeByTheWallClock => &["a_live_token_is_not_said_to_be_dead", "a_dead_token_is_not_converted"],
        Mutation::RetakesUnasked => &["a_lane_is_taken_again_by_a_member_only"],
    }
}

/// Its name in tests and arguments.
pub fn name(mutation: Mutation) -> String {
    let mut name = String::new();
    for letter in format!("{mutation:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// A cycle as a mistaken worker would publish it.
pub fn altered(state: &mut State, mut cycle: Cycle) -> Cycle {
    if state.is(Mutation::NewIdOnRetry) {
        let number = state.number();
        for record in &mut cycle.records {
            let mut body: Value = serde_json::from_slice(&record.value).unwrap_or_default();
            let id = body["id"].as_str().unwrap_or_default().to_owned();
            if !state.broker.tried.insert(id.clone()) {
                // As valid as the first: what it breaks is not its form.
                body["id"] = json!(Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{id} again {number}").as_bytes()));
                record.value = body.to_string().into_bytes();
            }
        }
    }
    cycle
}

/// Positions as a mistaken worker would commit them.
pub fn hurried(state: &State, process: u32, mut positions: Vec<Position>) -> Vec<Position> {
    let client = state.group.clients.get(&process).filter(|_| state.is(Mutation::PositionBeforeAcceptance));
    for position in &mut positions {
        let fetched = client.and_then(|client| client.fetching.get(&position.partition)).map_or(0, |fetch| fetch.next);
        position.offset = position.offset.max(fetched);
    }
    positions
}

/// An acceptance as a mistaken ledger would classify it.
pub fn mistake(state: &State, acceptance: &mut Acceptance) {
    if state.is(Mutation::OursTakenForDuplicate) {
        for row in &mut acceptance.rows {
            if matches!(row, Accepted::Ours(_)) {
                *row = Accepted::Duplicate;
            }
        }
    }
}

/// What a worker that does not look would have seen.
pub fn lie(state: &State, request: &Request) -> Option<Reply> {
    if request.operation != "lookup" {
        return None;
    }
    let nothing = match request.vendor {
        Vendor::Aloha => json!([]),
        _ => json!({"d": {"results": []}}),
    };
    let refused = || state.vendors.refused.get(&customer_of(&request.target)) == Some(&true);
    let lies = state.is(Mutation::SkipReadBack) || (state.is(Mutation::RefusalAfterUnknownIsFinal) && refused());
    lies.then_some(Reply { status: 200, body: nothing, retry_after: None })
}
