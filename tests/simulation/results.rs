//! What results say, held against the vendors' books and the inputs.

use std::collections::BTreeMap;

use profile_linker::contract::TopicRole;
use profile_linker::ledger::RowState;
use serde_json::Value;

use crate::broker::Visible;
use crate::inputs::{Input, MISSING};
use crate::tables::Row;
use crate::vendors::Profile;
use crate::world::State;

type Broken = Result<(), String>;

/// Tokens that the converter refuses, by their endings, and the only reason for which it says so.
const REASONS: [(&str, &str); 3] =
    [("-declined", "account_declined"), ("-locked", "user_locked"), ("-paypal", "account_unsupported")];

fn event_number(visible: &Visible) -> Option<&str> {
    visible.body["data"]["created"]["id"].as_str()?.strip_prefix("event ")
}

/// The profiles that carry the permanent token of this event.
fn profiles<'a>(state: &'a State, number: &str) -> Vec<&'a Profile> {
    let token = format!("permanent of temporary {number}");
    state.vendors.profiles.iter().filter(|profile| profile.token == token).collect()
}

/// Whoever takes a payment with it charges this customer's account.
pub fn invariant_a_result_names_its_own_profile(state: &State) -> Broken {
    for visible in state.broker.visible.iter().filter(|visible| visible.topic == TopicRole::Linked) {
        let Some(number) = event_number(visible) else { return Err(format!("{} names no event", visible.id)) };
        let (id, customer) = (&visible.body["data"]["paymentAccountId"], &visible.body["data"]["customer"]["id"]);
        let is_it = |profile: &&&Profile| *id == profile.name() && *customer == *profile.customer;
        if !profiles(state, number).iter().any(|profile| is_it(&profile)) {
            return Err(format!("{} of event {number} names {id} of {customer}", visible.id));
        }
    }
    Ok(())
}

/// An event that asked for it was made the primary profile, before or after others.
pub fn invariant_who_asks_to_be_primary_is_promoted(state: &State) -> Broken {
    for row in state.tables.ever().filter(|row| row.stored.state == RowState::Linked) {
        let Some(number) = row.identity.as_ref().and_then(|identity| identity.id.strip_prefix("event ")) else {
            continue;
        };
        let all = profiles(state, number);
        let refused = all.iter().any(|profile| profile.stays_secondary);
        if !wants_primary(state, row) || all.is_empty() || refused {
            continue;
        }
        if !all.iter().any(|profile| profile.promoted) {
            return Err(format!("{:?} is linked, and nobody promoted it", row.identity));
        }
        let misread = state.plan.vendors.blinks || all.iter().any(|it| state.vendors.misread.contains(&it.customer));
        if !misread && !may_be_overtaken(state, row) && !is_said_to_be_primary(state, number) {
            return Err(format!("{:?} is promoted, and its result says otherwise", row.identity));
        }
    }
    Ok(())
}

/// Whether a replay may have become primary between its promotion and its last look.
fn may_be_overtaken(state: &State, row: &Row) -> bool {
    state.tables.ever().any(|other| other.customer == row.customer && other.stored.generation > 1)
}

fn is_said_to_be_primary(state: &State, number: &str) -> bool {
    let of_event = |visible: &&Visible| visible.topic == TopicRole::Linked && event_number(visible) == Some(number);
    let mut results = state.broker.visible.iter().filter(of_event).peekable();
    results.peek().is_none() || results.any(|visible| visible.body["data"]["primary"] == true)
}

fn wants_primary(state: &State, row: &Row) -> bool {
    let record = state.broker.record_of(row).and_then(|record| record.value.as_ref());
    let event: Value = record.and_then(|value| serde_json::from_slice(value.expose()).ok()).unwrap_or_default();
    event["data"]["primary"] == true && event["data"]["customer"]["system"] == "loanpro"
}

/// A reason that only some inputs can have is told of those alone, and what the converter refuses is not linked.
pub fn invariant_a_rejection_is_its_events_own(state: &State) -> Broken {
    for visible in &state.broker.visible {
        let (data, code) = (&visible.body["data"], visible.body["data"]["reason"]["code"].as_str().unwrap_or_default());
        let Some(number) = event_number(visible) else { continue };
        let fate = |ending: &str| says(state, number, &format!("\"temporary {number}{ending}\""));
        let own = match REASONS.iter().find(|(_, reason)| *reason == code) {
            Some((ending, _)) => fate(ending),
            None if code == "token_expired" => says(state, number, "expiresAt"),
            None if code == "customer_not_found" => {
                let customer = data["customer"]["id"].as_str().unwrap_or_default();
                // One that denies a customer while another event's link of it is fresh cannot be told from one that knows.
                customer == MISSING || state.vendors.denied.contains_key(customer)
            }
            None => visible.topic != TopicRole::Linked || !REASONS.iter().any(|(ending, _)| fate(ending)),
        };
        if !own {
            return Err(format!("event {number} ends as {code:?}"));
        }
    }
    Ok(())
}

/// Whether an input of this event holds a text.
fn says(state: &State, number: &str, text: &str) -> bool {
    let id = format!("event {number}");
    let own = |input: &&Input| input.id.as_ref() == Some(&id);
    state.plan.inputs.iter().filter(own).any(|input| input.value.contains(text))
}

/// A lane's results are seen in the order of their numbers, where nothing was forgotten that says which were seen.
pub fn invariant_results_appear_in_their_order(state: &State) -> Broken {
    let forgot = state.broker.forgetful || state.restoring.happened() || state.broker.topic() > 0;
    if state.plan.idempotent || forgot {
        return Ok(());
    }
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, visible) in state.broker.visible.iter().enumerate() {
        first.entry(&visible.id).or_insert(place);
    }
    let mut before = (i32::MIN, 0);
    for ((lane, number), ids) in &state.tables.numbered {
        let place = ids.iter().filter_map(|id| first.get(id.as_str())).min().copied();
        let Some(place) = place else { continue };
        if before.0 == *lane && place < before.1 {
            return Err(format!("lane {lane}: number {number} is seen before one below it"));
        }
        before = (*lane, place);
    }
    Ok(())
}
