//! What must hold after every step, and what must have happened at the end. Each check is named as the guarantee that it
//! stands for.

use std::collections::{BTreeMap, BTreeSet};

use profile_linker::contract::{InputRecord, TopicRole};
use profile_linker::domain::{EventIdentity, Secret};
use profile_linker::kafka::cursor::{self, CursorText};
use profile_linker::ledger::RowState;
use serde_json::Value;

use crate::asking::event_of;
use crate::ledger::LEDGER_ID;
use crate::tables::{Row, stands_at};
use crate::vendors::Request;
use crate::world::State;
use crate::{duties, flood, liveness, results, yielding};

type Broken = Result<(), String>;

/// A check by its name.
type Check = (&'static str, fn(&State) -> Broken);

/// After every step.
const ALWAYS: [Check; 6] = [
    ("a_profile_is_linked_at_most_once", invariant_a_profile_is_linked_at_most_once),
    ("what_is_linked_is_never_finally_rejected", invariant_what_is_linked_is_never_finally_rejected),
    ("no_offset_passes_unaccepted_input", invariant_no_offset_passes_unaccepted_input),
    ("dead_letters_are_never_lost", invariant_dead_letters_are_never_lost),
    ("a_cursor_covers_durable_and_visible_results_only", invariant_a_cursor_covers_durable_and_visible_results_only),
    ("no_result_is_seen_twice", invariant_no_result_is_seen_twice),
];

/// At the end.
const FINALLY: [Check; 13] = [
    ("every_input_gets_one_result", invariant_every_input_gets_one_result),
    ("everything_ends", liveness::invariant_everything_ends),
    ("outage_rejects_nothing", invariant_outage_rejects_nothing),
    ("no_secret_leaves", invariant_no_secret_leaves),
    ("a_converted_token_is_never_said_to_be_rejected", invariant_a_converted_token_is_never_said_to_be_rejected),
    ("only_what_ends_its_process_is_poison", invariant_only_what_ends_its_process_is_poison),
    ("a_link_that_came_late_is_noted", duties::invariant_a_link_that_came_late_is_noted),
    ("a_flood_of_dead_letters_pauses", flood::invariant_a_flood_of_dead_letters_pauses),
    ("a_stop_ends", yielding::invariant_a_stop_ends),
    ("a_result_names_its_own_profile", results::invariant_a_result_names_its_own_profile),
    ("who_asks_to_be_primary_is_promoted", results::invariant_who_asks_to_be_primary_is_promoted),
    ("a_rejection_is_its_events_own", results::invariant_a_rejection_is_its_events_own),
    ("results_appear_in_their_order", results::invariant_results_appear_in_their_order),
];

impl State {
    pub fn check_step(&mut self) {
        if std::mem::take(&mut self.changed) {
            self.check(&ALWAYS);
        }
    }

    pub fn check_end(&mut self) {
        self.check(&FINALLY);
    }

    fn check(&mut self, checks: &[Check]) {
        for (name, check) in checks {
            if let Err(detail) = check(self) {
                self.violated(name, detail);
            }
        }
    }

    /// I6, where a link leaves: every earlier event of the customer has ended.
    pub fn order_of_sending(&mut self, request: &Request) {
        let key = match request.operation {
            "link" => request.event_key(),
            "promote" => self.vendors.promoted(request).and_then(|profile| event_of(&profile.token)),
            _ => None,
        };
        let Some(key) = key.filter(|_| !request.late) else { return };
        // A replayed event has given up its place.
        let Some(row) = self.tables.rows.get(&key).filter(|row| row.stored.generation == 1) else { return };
        let detail = self
            .earlier(row)
            .next()
            .map(|other| format!("{:?} is sent before {:?} has ended", row.identity, other.identity));
        detail.into_iter().for_each(|detail| self.violated("per_customer_order", detail));
    }

    /// What its customer has before it that has not ended; replayed events have given up their places.
    pub fn earlier<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = &'a Row> {
        let topic = |row: &Row| self.broker.topic_of(row.stored.timestamp);
        let is_earlier = move |other: &&Row| {
            other.stored.partition == row.stored.partition
                && other.customer == row.customer
                && other.stored.offset < row.stored.offset
                && other.stored.generation == 1
                && other.is_unfinished()
                && topic(other) == topic(row)
                // What is passed over in a new topic comes after what was accepted before the worker heard of it.
                && (other.early || !row.early)
        };
        self.tables.rows.values().filter(is_earlier)
    }
}

fn events(state: &State) -> impl Iterator<Item = (&EventIdentity, &Row, String)> {
    state.tables.ever().filter_map(|row| {
        let identity = row.identity.as_ref()?;
        let number = identity.id.strip_prefix("event ")?;
        Some((identity, row, format!("permanent of temporary {number}")))
    })
}

/// Of a declared restore nobody can know what was accepted since the backup: the same event written once more is a new one.
fn written_again_after_a_restore(state: &State, row: &Row) -> bool {
    state.restoring.declared && state.tables.adopted_at.is_some_and(|at| row.stored.timestamp >= at)
}

/// I2. What came through the named residue is counted elsewhere.
fn invariant_a_profile_is_linked_at_most_once(state: &State) -> Broken {
    for (identity, row, token) in events(state) {
        let (mut all, mut late) = (0, false);
        for profile in state.vendors.with_token(&token) {
            all += 1;
            late |= profile.late;
        }
        if all > 1 && !late && !written_again_after_a_restore(state, row) {
            return Err(format!("{identity:?} has {all} profiles"));
        }
    }
    Ok(())
}

/// I2, the other half.
fn invariant_what_is_linked_is_never_finally_rejected(state: &State) -> Broken {
    for (identity, row, token) in events(state) {
        let linked = state.vendors.with_token(&token).any(|profile| !profile.late);
        if row.stored.state == RowState::Rejected && linked && !written_again_after_a_restore(state, row) {
            return Err(format!("{identity:?} is rejected, and its profile is there"));
        }
    }
    Ok(())
}

/// I3, of Kafka's positions and of the ledger's own.
fn invariant_no_offset_passes_unaccepted_input(state: &State) -> Broken {
    let of_topic = |row: &&Row| state.broker.topic_of(row.stored.timestamp) == state.broker.topic();
    let accepted: BTreeSet<(i32, i64)> =
        state.tables.ever().filter(of_topic).map(|row| (row.stored.partition, row.stored.offset)).collect();
    let known = |partition: i32, offset: usize| {
        let identities = &state.broker.identities[usize::try_from(partition).unwrap_or(0)];
        accepted.contains(&(partition, i64::try_from(offset).unwrap_or(0)))
            || identities[offset].is_some_and(|key| state.tables.ever().any(|row| row.stored.key == key))
    };
    // A position of a topic that is no more passes nothing: the lane is read from its start, once that is noticed.
    let is_of_topic = |partition: &i32| state.broker.commit_is_of_this_topic(*partition);
    let committed = state.broker.committed.iter().filter(|(partition, _)| is_of_topic(partition));
    let committed = committed.map(|(partition, (offset, _))| (*partition, *offset));
    let stored = state.tables.lanes.iter().filter(|(_, row)| state.broker.knows(row));
    let stored = stored.filter_map(|(lane, row)| Some((*lane, row.position?)));
    for (partition, position) in committed.chain(stored) {
        let passed = usize::try_from(position).unwrap_or(0);
        let log = state.broker.partition(partition);
        if passed > log.len() {
            return Err(format!("partition {partition}: position {position} is beyond the end"));
        }
        // Below stands what a restored ledger need not know; at the end it must have read it again.
        let before =
            state.broker.passed_before.get(&partition).map_or(0, |offset| usize::try_from(*offset).unwrap_or(0));
        if let Some(offset) = (before..passed).find(|offset| !known(partition, *offset)) {
            return Err(format!("position {position} passes {partition}/{offset}"));
        }
    }
    Ok(())
}

/// I4: in the same commit as their rejection, where there are transactions.
fn invariant_dead_letters_are_never_lost(state: &State) -> Broken {
    if state.plan.idempotent {
        return Ok(());
    }
    let mut commits: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for visible in &state.broker.visible {
        let (rejections, letters) = commits.entry(visible.commit).or_default();
        match visible.topic {
            TopicRole::DeadLetter => *letters += 1,
            TopicRole::Rejected if visible.body["data"]["disposition"] == "dead-lettered" => *rejections += 1,
            TopicRole::Rejected | TopicRole::Linked => {}
        }
    }
    match commits.values().find(|(rejections, letters)| rejections != letters) {
        Some((rejections, letters)) => Err(format!("{rejections} rejections with {letters} dead letters")),
        None => Ok(()),
    }
}

fn invariant_a_cursor_covers_durable_and_visible_results_only(state: &State) -> Broken {
    let visible: BTreeSet<&str> = state.broker.visible.iter().map(|visible| visible.id.as_str()).collect();
    let saved = state.tables.lanes.iter().map(|(lane, row)| (*lane, row.saved_cursor));
    let committed = state.broker.committed.iter().filter_map(|(partition, (_, metadata))| {
        match cursor::decode(metadata, LEDGER_ID) {
            CursorText::Ours(cursor) => Some((*partition, cursor)),
            _ => None,
        }
    });
    for (lane, cursor) in saved.chain(committed) {
        for number in 1..=cursor {
            let Some(ids) = state.tables.numbered.get(&(lane, number)) else {
                return Err(format!("lane {lane}: the cursor {cursor} covers {number}, which is not durable"));
            };
            let moved = state.tables.moved.contains(&(lane, number));
            if let Some(id) = ids.iter().find(|id| !moved && !visible.contains(id.as_str())) {
                return Err(format!("lane {lane}: the cursor {cursor} covers {number}, but {id} is not to be seen"));
            }
        }
    }
    Ok(())
}

/// I1, the safe half: the guarantee is openly weaker without transactions, and after offsets were lost.
fn invariant_no_result_is_seen_twice(state: &State) -> Broken {
    if state.plan.idempotent || state.broker.forgetful || state.restoring.happened() {
        return Ok(());
    }
    let mut seen = BTreeSet::new();
    let repeats = |id: &String| !state.broker.may_repeat.contains(id);
    match state.broker.visible.iter().find(|visible| !seen.insert(&visible.id) && repeats(&visible.id)) {
        Some(twice) => Err(format!("{} was seen before", twice.id)),
        None => Ok(()),
    }
}

/// I1: exactly the results that the inputs must have, by their ids.
fn invariant_every_input_gets_one_result(state: &State) -> Broken {
    let mut expected = state.owed_to_deleted_topics();
    for record in (0..state.plan.partitions).flat_map(|partition| state.broker.partition(partition)) {
        if !is_given_up(state, record) {
            expected.extend(expected_ids(state, record)?);
        }
    }
    let results = state.broker.visible.iter().filter(|visible| visible.topic != TopicRole::DeadLetter);
    let seen: BTreeSet<String> = results.map(|visible| visible.id.clone()).collect();
    // A restored ledger may contradict what it said before.
    if expected == seen || (state.restoring.happened() && expected.is_subset(&seen)) {
        return Ok(());
    }
    let missing: Vec<&String> = expected.difference(&seen).collect();
    let strange: Vec<&String> = seen.difference(&expected).collect();
    Err(format!("missing {missing:?}, unexpected {strange:?}"))
}

/// Whether a declared restore passed it by: nothing below Kafka's position is read again.
fn is_given_up(state: &State, record: &InputRecord) -> bool {
    let passed = state.broker.passed_before.get(&record.origin.partition);
    state.restoring.declared && passed.is_some_and(|passed| record.origin.offset < *passed)
}

/// The ids of a record's own results, one a generation; none for a duplicate.
fn expected_ids(state: &State, record: &InputRecord) -> Result<Vec<String>, String> {
    let origin = &record.origin;
    let identity = identity_of(record);
    let Some(identity) = identity else {
        let row = state.tables.ever().find(|row| is_of(row, record));
        let last = row.map_or(1, |row| row.stored.generation);
        return Ok((1..=last).map(|number| origin.result_id(number).to_string()).collect());
    };
    let Some(row) = state.tables.ever().find(|row| row.stored.key == identity.key()) else {
        return Err(format!("{origin:?} was never accepted"));
    };
    if is_of(row, record) {
        return Ok(state.ids_of(row));
    }
    let same = state.broker.record_of(row).is_some_and(|first| text_of(first) == text_of(record));
    Ok(if same { Vec::new() } else { vec![origin.result_id(1).to_string()] })
}

fn is_of(row: &Row, record: &InputRecord) -> bool {
    let origin = &record.origin;
    stands_at(row, origin.partition, origin.offset, origin.timestamp)
}

fn text_of(record: &InputRecord) -> &[u8] {
    record.value.as_ref().map_or(&[], Secret::expose)
}

fn identity_of(record: &InputRecord) -> Option<EventIdentity> {
    let body: Value = serde_json::from_slice(text_of(record)).ok()?;
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    Some(EventIdentity { source: text("source")?, id: text("id")? })
}

/// I7: no fault here lasts as long as the retry budget. Ten unclean ends are poison, not an outage.
fn invariant_outage_rejects_nothing(state: &State) -> Broken {
    let is = |text: &Value, sought: &str| text.as_str().is_some_and(|text| text.contains(sought));
    let spent = |reason: &Value| {
        let exhausted = is(&reason["code"], "retries_exhausted") && !is(&reason["detail"], "unclean ends");
        exhausted || is(&reason["code"], "link_unknown")
    };
    match state.broker.visible.iter().find(|visible| spent(&visible.body["data"]["reason"])) {
        Some(visible) => Err(format!("{} was given up: {}", visible.id, visible.body["data"]["reason"])),
        None => Ok(()),
    }
}

/// I5, of what is published and of what is stored.
fn invariant_no_secret_leaves(state: &State) -> Broken {
    let has = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.contains("temporary 1") || text.contains("permanent of")
    };
    for visible in &state.broker.visible {
        if has(visible.body.to_string().as_bytes()) {
            return Err(format!("{} shows a token", visible.id));
        }
    }
    for row in state.tables.rows.values() {
        let stored = &row.stored;
        let blobs = [Some(&stored.sealed_record), stored.sealed_token.as_ref()];
        if blobs.into_iter().flatten().any(|bytes| has(bytes)) {
            return Err(format!("the row of {:?} shows a token", row.identity));
        }
    }
    Ok(())
}

/// "Rejected" says that the token did not work. Where it may have worked, unseen, it is unknown, and kept for a person.
fn invariant_a_converted_token_is_never_said_to_be_rejected(state: &State) -> Broken {
    for visible in &state.broker.visible {
        let code = &visible.body["data"]["reason"]["code"];
        if code != "token_rejected" && code != "token_expired" {
            continue;
        }
        let id = visible.body["data"]["created"]["id"].as_str().unwrap_or_default();
        let token = format!("temporary {}", id.strip_prefix("event ").unwrap_or_default());
        let row = state.tables.ever().find(|row| row.identity.as_ref().is_some_and(|identity| identity.id == id));
        let is_new = row.is_some_and(|row| written_again_after_a_restore(state, row));
        if state.vendors.converted.contains(&token) && !is_new {
            return Err(format!("{id} is rejected as {code}, and its token was converted"));
        }
    }
    Ok(())
}

/// Where one event ends its process each time and nothing else goes wrong, no other is given up for it.
fn invariant_only_what_ends_its_process_is_poison(state: &State) -> Broken {
    let Some(killer) = state.plan.killer else { return Ok(()) };
    let innocent = |visible: &&crate::broker::Visible| {
        let data = &visible.body["data"];
        let poison = data["reason"]["detail"].as_str().is_some_and(|detail| detail.contains("unclean ends"));
        poison && data["created"]["id"] != format!("event {killer}")
    };
    match state.broker.visible.iter().find(innocent) {
        Some(visible) => Err(format!("{} is given up", visible.body["data"]["created"])),
        None => Ok(()),
    }
}
