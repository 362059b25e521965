//! Sealed rows come from one key to the next.

use profile_linker::domain::{EventKey, Origin, Secret};
use profile_linker::ledger::custody::{
    BATCH_BYTES, COUNTING_LIMIT, SealedCount, SealedKind, record_context, token_context,
};
use profile_linker::ledger::rotation::{Rotated, Rotation, RotationError, missing, wanting};
use profile_linker::ledger::{Claim, ConvertedRow, HashKey, Ledger, NewRow, RowState, Vault};

use crate::rows::*;
use crate::stage::{Stage, vault};

crate::ledger_cases!(Both:
    what_the_old_key_sealed_is_counted_and_then_sealed_by_the_new_one,
    after_a_rotation_everything_opens_without_the_old_key,
    a_rotation_that_is_repeated_changes_nothing_and_is_audited_once,
    a_rotation_that_was_cut_short_goes_on,
    a_row_whose_key_is_missing_stops_a_rotation_before_it_begins,
    dead_letters_alone_do_not_need_their_key_to_be_there,
    a_batch_is_bounded_by_bytes_too,
    a_row_that_does_not_open_is_told_and_keeps_the_others_from_nothing,
    what_ended_meanwhile_is_not_brought_back,
    a_hash_key_is_resealed_and_still_the_same,
);

/// The topic that the rows of this file are of.
pub const TOPIC: &str = "created";

/// Two keys; the first one is the active key of all other tests.
pub fn both(active: &str) -> Vault {
    let key = |byte| Secret::new(vec![byte; 32]);
    Vault::new(active, vec![("k1".to_owned(), key(1)), ("k2".to_owned(), key(2))]).expect("a vault")
}

/// The second key alone.
pub fn new_only() -> Vault {
    Vault::new("k2", vec![("k2".to_owned(), Secret::new(vec![2; 32]))]).expect("a vault")
}

fn context(row: &NewRow) -> Vec<u8> {
    let (partition, offset, timestamp) = (row.lane.0, row.offset, row.timestamp);
    record_context(&Origin { topic: TOPIC.to_owned(), partition, offset, timestamp })
}

/// A row whose record is sealed as a worker seals it.
pub fn sealed_row(vault: &Vault, claim: Claim, offset: i64, id: &str) -> NewRow {
    let row = new_row(claim, offset, id);
    let sealed_record = vault.seal(&context(&row), format!("record of {id}").as_bytes());
    NewRow { sealed_record, ..row }
}

fn sealed_token(vault: &Vault, row: &NewRow) -> ConvertedRow {
    ConvertedRow { sealed_token: vault.seal(&token_context(row.key), b"permanent"), ..converted(row) }
}

/// One unfinished, one converted, one dead-lettered with its token, one linked.
async fn a_few(ledger: &dyn Ledger) -> (Claim, Vec<NewRow>) {
    let [claim] = raise(ledger, [0]).await;
    let rows: Vec<_> = (0..4)
        .map(|n| sealed_row(&vault(), claim, n, ["waiting", "converted", "dead", "linked"][n as usize]))
        .collect();
    ledger.accept(&[up_to(claim, 4, 1)], &rows).await.unwrap();
    let tokens: Vec<_> = rows[1..].iter().map(|row| sealed_token(&vault(), row)).collect();
    ledger.converted(&[claim], &tokens).await.unwrap();
    let ends = [ended(&rows[2], RowState::DeadLettered, 1), ended(&rows[3], RowState::Linked, 2)];
    ledger.end(&[claim], &ends).await.unwrap();
    (claim, rows)
}

pub async fn rotate(ledger: &dyn Ledger, vault: &Vault) -> Result<Rotated, RotationError> {
    Rotation { ledger, vault, topic: TOPIC, act: &act() }.run(&|_, _| {}).await
}

pub async fn counts(ledger: &dyn Ledger) -> Vec<SealedCount> {
    ledger.custody().expect("a ledger on a disk").sealed_counts(COUNTING_LIMIT).await.expect("counts")
}

fn count(key_id: &str, records: u64, tokens: u64, hash_key: bool) -> SealedCount {
    SealedCount { key_id: key_id.to_owned(), records, tokens, dead_letters: 0, hash_key }
}

/// With the hash key, two tokens, and a dead letter, which has one of them.
fn with_a_dead_one(key_id: &str, records: u64) -> SealedCount {
    SealedCount { dead_letters: 2, ..count(key_id, records, 2, true) }
}

async fn what_the_old_key_sealed_is_counted_and_then_sealed_by_the_new_one(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    assert_eq!(counts(ledger).await, [count("k1", 0, 0, true)], "an empty ledger has its hash key");
    a_few(ledger).await;
    assert_eq!(counts(ledger).await, [with_a_dead_one("k1", 3)]);
    assert_eq!(missing(&counts(ledger).await, &both("k2")), None);
    let rotated = rotate(ledger, &both("k2")).await.unwrap();
    assert_eq!(rotated, Rotated { records: 3, tokens: 2, hash_key: true, left: 0, unopened: 0 });
    assert_eq!(counts(ledger).await, [with_a_dead_one("k2", 3)]);
    assert_eq!(missing(&counts(ledger).await, &new_only()), None);
    assert_eq!(stage.audit().await, ["ada | keys-rotate | k1 to k2 | it's fixed"]);
}

async fn after_a_rotation_everything_opens_without_the_old_key(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (claim, rows) = a_few(ledger).await;
    rotate(ledger, &both("k2")).await.unwrap();
    for (row, token) in [(&rows[0], false), (&rows[1], true), (&rows[2], true)] {
        let there = stored(ledger, row.key).await;
        let record = new_only().open(&context(row), &there.sealed_record).expect("the record opens");
        assert_eq!(record.as_slice(), vault().open(&context(row), &row.sealed_record).unwrap().as_slice());
        let opened =
            there.sealed_token.map(|blob| new_only().open(&token_context(row.key), &blob).expect("the token opens"));
        assert_eq!(opened.as_ref().map(|token| token.as_slice()), token.then_some(&b"permanent"[..]));
    }
    assert_eq!(ledger.unfinished(&[claim], None).await.unwrap().len(), 2, "nothing ended or began by it");
    assert_eq!(ledger.reopen(&[reopening(&rows[2], 1)], &act()).await.unwrap(), [rows[2].key]);
}

async fn a_rotation_that_is_repeated_changes_nothing_and_is_audited_once(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (_, rows) = a_few(ledger).await;
    rotate(ledger, &both("k2")).await.unwrap();
    let before = stored(ledger, rows[0].key).await.sealed_record;
    assert_eq!(rotate(ledger, &both("k2")).await.unwrap(), Rotated::default());
    assert_eq!(stored(ledger, rows[0].key).await.sealed_record, before);
    assert_eq!(stage.audit().await.len(), 1);
}

async fn a_rotation_that_was_cut_short_goes_on(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (_, rows) = a_few(ledger).await;
    // One row was done by then: the other tells what a worker has sealed since.
    let custody = ledger.custody().unwrap();
    let old = stored(ledger, rows[0].key).await.sealed_record;
    let again = profile_linker::ledger::custody::Resealing {
        key: rows[0].key,
        new: both("k2").seal(&context(&rows[0]), b"record of waiting"),
        old,
    };
    let kind = profile_linker::ledger::custody::SealedKind::Record;
    assert_eq!(custody.reseal(kind, std::slice::from_ref(&again)).await.unwrap(), 1);
    assert_eq!(custody.reseal(kind, &[again]).await.unwrap(), 0, "the old bytes do not stand there any more");
    assert_eq!(counts(ledger).await, [with_a_dead_one("k1", 2), count("k2", 1, 0, false)]);
    let rotated = rotate(ledger, &both("k2")).await.unwrap();
    assert_eq!((rotated.records, rotated.tokens, rotated.left), (2, 2, 0));
}

async fn a_row_whose_key_is_missing_stops_a_rotation_before_it_begins(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    a_few(ledger).await;
    let lacking = missing(&counts(ledger).await, &new_only());
    assert_eq!(lacking, Some(("k1".to_owned(), 6)), "five rows and the hash key");
    let refused = rotate(ledger, &new_only()).await.unwrap_err();
    assert!(matches!(&refused, RotationError::MissingKey { key_id, rows: 6 } if key_id == "k1"), "{refused}");
    assert_eq!(counts(ledger).await, [with_a_dead_one("k1", 3)]);
    assert!(stage.audit().await.is_empty());
}

async fn dead_letters_alone_do_not_need_their_key_to_be_there(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let lost = Vault::new("k0", vec![("k0".to_owned(), Secret::new(vec![3; 32]))]).expect("a vault");
    let (dead, waiting) = (sealed_row(&lost, claim, 0, "dead"), sealed_row(&vault(), claim, 1, "waiting"));
    ledger.accept(&[up_to(claim, 2, 1)], &[dead.clone(), waiting]).await.unwrap();
    assert_eq!(missing(&counts(ledger).await, &both("k2")), Some(("k0".to_owned(), 1)), "it is unfinished");
    ledger.end(&[claim], &[ended(&dead, RowState::DeadLettered, 1)]).await.unwrap();
    let sealed = counts(ledger).await;
    assert_eq!(missing(&sealed, &both("k2")), None);
    assert_eq!(wanting(&sealed, &both("k2")).collect::<Vec<_>>(), [("k0", 1)]);
    let rotated = rotate(ledger, &both("k2")).await.unwrap();
    assert_eq!(rotated, Rotated { records: 1, tokens: 0, hash_key: true, left: 1, unopened: 1 });
    assert_eq!(stored(ledger, dead.key).await.sealed_record, dead.sealed_record, "it stays as it is");
}

async fn a_batch_is_bounded_by_bytes_too(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let half = vec![0; usize::try_from(BATCH_BYTES).unwrap() / 2];
    let large = |n| NewRow { sealed_record: vault().seal(b"a place", &half), ..new_row(claim, n, &format!("{n}")) };
    ledger.accept(&[up_to(claim, 5, 1)], &(0..5).map(large).collect::<Vec<_>>()).await.unwrap();
    let custody = ledger.custody().unwrap();
    let (mut after, mut sizes) = (None, Vec::new());
    loop {
        let found = custody.sealed_otherwise(SealedKind::Record, "k2", after, 200).await.unwrap();
        let Some(last) = found.last() else { break };
        after = Some(last.key);
        sizes.push(found.len());
    }
    assert_eq!(sizes, [2, 2, 1]);
}

async fn a_row_that_does_not_open_is_told_and_keeps_the_others_from_nothing(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let good = sealed_row(&vault(), claim, 0, "good");
    let moved = NewRow { sealed_record: vault().seal(b"another place", b"record"), ..new_row(claim, 1, "moved") };
    ledger.accept(&[up_to(claim, 2, 1)], &[good, moved.clone()]).await.unwrap();
    let rotated = rotate(ledger, &both("k2")).await.unwrap();
    assert_eq!(rotated, Rotated { records: 1, tokens: 0, hash_key: true, left: 1, unopened: 1 });
    assert_eq!(stored(ledger, moved.key).await.sealed_record, moved.sealed_record, "it stays as it is");
}

async fn what_ended_meanwhile_is_not_brought_back(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (claim, rows) = a_few(ledger).await;
    let custody = ledger.custody().unwrap();
    let kind = profile_linker::ledger::custody::SealedKind::Record;
    let found = custody.sealed_otherwise(kind, "k2", None, 10).await.unwrap();
    assert_eq!(found.len(), 3);
    ledger.end(&[claim], &[ended(&rows[0], RowState::Linked, 3)]).await.unwrap();
    let again = |key: EventKey| profile_linker::ledger::custody::Resealing {
        key,
        old: rows[0].sealed_record.clone(),
        new: vec![1],
    };
    assert_eq!(custody.reseal(kind, &[again(rows[0].key)]).await.unwrap(), 0);
    assert!(stored(ledger, rows[0].key).await.sealed_record.is_empty(), "it is erased, and stays so");
    // By key, so many at a time.
    let first = custody.sealed_otherwise(kind, "k2", None, 1).await.unwrap();
    let rest = custody.sealed_otherwise(kind, "k2", Some(first[0].key), 10).await.unwrap();
    assert_eq!((first.len(), rest.len()), (1, 1));
    assert!(first[0].key < rest[0].key);
}

async fn a_hash_key_is_resealed_and_still_the_same(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let before = HashKey::open(&ledger.identity().await.unwrap(), &vault()).unwrap();
    rotate(ledger, &both("k2")).await.unwrap();
    let identity = ledger.identity().await.unwrap();
    let after = HashKey::open(&identity, &new_only()).expect("the new key opens it");
    assert_eq!(before.payload_hash(b"payload"), after.payload_hash(b"payload"));
    assert!(HashKey::open(&identity, &vault()).is_err(), "the old one opens nothing any more");
}
