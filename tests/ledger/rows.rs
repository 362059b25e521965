//! Rows as the worker makes them.

use std::collections::BTreeSet;

use profile_linker::contract::{OutgoingRecord, TopicRole};
use profile_linker::domain::{
    Attempts, Customer, EventIdentity, EventKey, Lane, PublishSeq, ReasonCode, Stage as Where, System,
};
use profile_linker::ledger::{
    AcceptLane, Accepted, Act, BackOffRow, Claim, ConvertedRow, EndedAtOnce, EndedRow, Ledger, NewRow, Reopening,
    RowState, StoredRow,
};

/// Calls made, different in each.
pub const ATTEMPTS: Attempts = Attempts { convert: 1, link: 2, lookup: 3 };

pub fn identity(id: &str) -> EventIdentity {
    EventIdentity { source: "https://shop.example/checkout".to_owned(), id: id.to_owned() }
}

pub fn key(id: &str) -> EventKey {
    identity(id).key()
}

/// A record with one payload per id.
pub fn new_row(claim: Claim, offset: i64, id: &str) -> NewRow {
    NewRow {
        key: key(id),
        lane: claim.lane,
        offset,
        timestamp: 1_700_000_000_000 + offset,
        identity: Some(identity(id)),
        customer: Some(Customer { system: System::Loanpro, id: "42".to_owned() }),
        payload_hash: [7; 32],
        generation: 1,
        sealed_record: format!("sealed record {id}").into_bytes(),
        possibly_sent: false,
        ended: None,
    }
}

/// The same with another payload.
pub fn conflicting(row: NewRow) -> NewRow {
    NewRow { payload_hash: [8; 32], ..row }
}

/// The same, ending at once.
pub fn ending(row: NewRow, state: RowState) -> NewRow {
    let name = row.identity.as_ref().map_or("unreadable", |identity| identity.id.as_str());
    let ended = Some(EndedAtOnce {
        state,
        reason: (ReasonCode::InvalidEvent, Where::Validate),
        records: vec![record(TopicRole::Rejected, name)],
    });
    NewRow { ended, ..row }
}

/// A record with everything that may be hard to store.
pub fn record(topic: TopicRole, name: &str) -> OutgoingRecord {
    OutgoingRecord {
        topic,
        key: Some(vec![0, 255]),
        value: format!("result of {name}").into_bytes(),
        headers: vec![
            ("ce_type".to_owned(), b"x".to_vec()),
            ("binary".to_owned(), vec![0, 1, 255]),
            ("ce_type".to_owned(), Vec::new()),
        ],
    }
}

pub fn converted(row: &NewRow) -> ConvertedRow {
    ConvertedRow {
        key: row.key,
        lane: row.lane,
        sealed_token: b"sealed token".to_vec(),
        account: r#"{"kind":"card"}"#.to_owned(),
        attempts: ATTEMPTS,
        timeline: String::new(),
    }
}

pub fn ended(row: &NewRow, state: RowState, number: i64) -> EndedRow {
    let (topic, reason) = match state {
        RowState::Linked => (TopicRole::Linked, None),
        _ => (TopicRole::Rejected, Some((ReasonCode::LinkRefused, Where::Link))),
    };
    let mut records = vec![record(topic, "a result")];
    if state == RowState::DeadLettered {
        records.push(OutgoingRecord { key: None, ..record(TopicRole::DeadLetter, "a dead letter") });
    }
    EndedRow {
        key: row.key,
        lane: row.lane,
        state,
        publish_seq: PublishSeq(number),
        failed_ms_ago: None,
        reason,
        records,
        attempts: ATTEMPTS,
        timeline: String::new(),
    }
}

pub fn back_off(row: &NewRow, due_in_ms: i64) -> BackOffRow {
    BackOffRow {
        key: row.key,
        lane: row.lane,
        due_in_ms,
        spent_ms: 1234,
        failed_ms_ago: Some(0),
        attempts: ATTEMPTS,
        timeline: String::new(),
    }
}

/// An acceptance's part: up to `position`, numbered from `first`.
pub fn up_to(claim: Claim, position: i64, first: i64) -> AcceptLane {
    AcceptLane { claim, position, first_seq: PublishSeq(first) }
}

/// Takes lanes over, as a worker of no particular name.
pub async fn raise<const N: usize>(ledger: &dyn Ledger, lanes: [i32; N]) -> [Claim; N] {
    let rows = ledger.raise("worker", &lanes.map(Lane)).await.expect("a raise");
    let claims: Vec<_> = rows.iter().map(|row| row.claim).collect();
    claims.try_into().expect("a claim for each lane")
}

/// Accepts one record that must be new.
pub async fn accept(ledger: &dyn Ledger, claim: Claim, row: &NewRow) {
    let acceptance =
        ledger.accept(&[up_to(claim, row.offset + 1, 1)], std::slice::from_ref(row)).await.expect("accepted");
    assert_eq!(said(&acceptance.rows), ["new"]);
}

/// Accepts a record and dead-letters it, as its lane's result of this number.
pub async fn dead_letter(ledger: &dyn Ledger, claim: Claim, row: &NewRow, number: i64) {
    accept(ledger, claim, row).await;
    let end = ended(row, RowState::DeadLettered, number);
    assert!(ledger.end(&[claim], &[end]).await.expect("ended").is_empty());
}

/// A reopening of a row of this generation.
pub fn reopening(row: &NewRow, generation: i32) -> Reopening {
    Reopening { key: row.key, generation }
}

/// An operator's act.
pub fn act() -> Act {
    Act { actor: "ada".to_owned(), why: Some("it's fixed".to_owned()) }
}

/// The row of a key that must be there.
pub async fn stored(ledger: &dyn Ledger, key: EventKey) -> StoredRow {
    ledger.row(key).await.expect("a read").expect("a row")
}

/// The position of a lane, as its next owner finds it.
pub async fn position(ledger: &dyn Ledger, lane: i32) -> Option<i64> {
    ledger.raise("reader", &[Lane(lane)]).await.expect("a raise")[0].position
}

/// What became of rows, in words.
pub fn said(rows: &[Accepted]) -> Vec<String> {
    let say = |row: &Accepted| match row {
        Accepted::New { publish_seq: None } => "new".to_owned(),
        Accepted::New { publish_seq: Some(number) } => format!("new as {}", number.0),
        Accepted::Ours(_) => "ours".to_owned(),
        Accepted::Replays => "replays".to_owned(),
        Accepted::Duplicate => "duplicate".to_owned(),
        Accepted::Conflict => "conflict".to_owned(),
        Accepted::Refused => "refused".to_owned(),
    };
    rows.iter().map(say).collect()
}

pub fn lanes(numbers: &[i32]) -> BTreeSet<Lane> {
    numbers.iter().copied().map(Lane).collect()
}
