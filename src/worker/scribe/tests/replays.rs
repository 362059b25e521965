//! Records with the side headers of a replay, on a real ledger in a file.

use super::stage::{Stage, event, identity};

use super::{Claim, Job, Ordering, said, unreadable};
use crate::contract::side_headers::Replayed;
use crate::domain::{Origin, PublishSeq};
use crate::ledger::{EndedRow, Ledger as _, NoteKind, RowState, StoredRow};

/// Where the record stood at first.
const OFFSET: i64 = 3;

fn first_place(claim: Claim) -> Origin {
    Origin { topic: "created".to_owned(), partition: claim.lane.0, offset: OFFSET, timestamp: 1_600_000_000_000 }
}

impl Stage {
    /// The same record at `offset`, to be accepted as this generation.
    fn replay(&self, claim: Claim, offset: i64, value: &str, generation: i32) {
        let mut record = super::stage::record(claim.lane.0, offset, value);
        let replayed = Replayed { generation, origin: first_place(claim) };
        record.headers.extend(replayed.headers().map(|(name, value)| (name, Some(value))));
        let draft = self.preparer.draft(record, 0, 0);
        self.ask(Job::Accept { claim, position: draft.next_offset, drafts: vec![draft] });
    }

    async fn row_of(&self, id: &str) -> StoredRow {
        self.ledger.row(identity(id).key()).await.unwrap().unwrap()
    }

    async fn dead_letter(&self, claim: Claim, id: &str, number: i64) {
        let end = EndedRow {
            key: identity(id).key(),
            lane: claim.lane,
            state: RowState::DeadLettered,
            publish_seq: PublishSeq(number),
            failed_ms_ago: None,
            reason: Some((crate::domain::ReasonCode::RetriesExhausted, crate::domain::Stage::Link)),
            records: Vec::new(),
            attempts: Default::default(),
            timeline: String::new(),
        };
        assert!(self.ledger.end(&[claim], &[end]).await.unwrap().is_empty());
    }

    async fn reopened_notes(&self, claim: Claim) -> usize {
        let notes = self.ledger.notes(&[claim]).await.unwrap();
        notes.iter().filter(|note| note.kind == NoteKind::Reopened).count()
    }

    /// As an owner does that acted on them.
    async fn remove_notes(&self, claim: Claim) {
        let notes = self.ledger.notes(&[claim]).await.unwrap();
        let numbers: Vec<i64> = notes.iter().map(|note| note.number).collect();
        self.ledger.remove_notes(&[claim], &numbers).await.unwrap();
    }

    async fn position(&self, claim: Claim) -> Option<i64> {
        self.ledger.raise("next", &[claim.lane]).await.unwrap()[0].position
    }
}

#[tokio::test]
async fn a_replay_over_no_row_is_possibly_sent_has_its_first_origin_and_waits_with_a_note() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    stage.replay(claim, 40, &event("e", "x"), 4);
    assert_eq!(said(&stage.flush().await), ["up to 41: new ended as []"]);
    let row = stage.row_of("e").await;
    assert_eq!((row.state, row.generation, row.possibly_sent), (RowState::Accepted, 4, true));
    let origin = first_place(claim);
    assert_eq!((row.offset, row.timestamp), (origin.offset, origin.timestamp));
    assert_eq!(stage.reopened_notes(claim).await, 1);
    assert_eq!(stage.position(claim).await, Some(41));
}

#[tokio::test(start_paused = true)]
async fn a_replay_reopens_its_dead_letter_once_however_often_it_comes_and_whatever_answer_is_lost() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    stage.accept(claim, OFFSET, &[event("e", "x")]);
    stage.flush().await;
    stage.dead_letter(claim, "e", 1).await;
    stage.replay(claim, 40, &event("e", "x"), 2);
    stage.ledger.lost.store(1, Ordering::SeqCst);
    assert_eq!(said(&stage.flush().await), ["up to 41: replays ended as []"]);
    stage.replay(claim, 41, &event("e", "x"), 2);
    assert_eq!(said(&stage.flush().await), ["up to 42: duplicate ended as []"]);
    let row = stage.row_of("e").await;
    assert_eq!((row.state, row.generation), (RowState::Accepted, 2));
    assert_eq!(stage.reopened_notes(claim).await, 1);
    assert_eq!(stage.position(claim).await, Some(42));
}

/// Whether by its own record, by the first one, or by a write whose answer was lost: it is never taken up past its share.
#[tokio::test(start_paused = true)]
async fn an_unfinished_replay_that_is_read_again_waits_with_a_note() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    stage.replay(claim, 40, &event("e", "x"), 2);
    stage.ledger.lost.store(1, Ordering::SeqCst);
    assert_eq!(said(&stage.flush().await), ["up to 41: ours ended as []"]);
    assert_eq!(stage.reopened_notes(claim).await, 1, "the answer was lost");
    stage.remove_notes(claim).await;
    stage.replay(claim, 40, &event("e", "x"), 2);
    assert_eq!(said(&stage.flush().await), ["up to 41: ours ended as []"]);
    assert_eq!(stage.reopened_notes(claim).await, 1, "its own record");
    stage.accept(claim, OFFSET + 10, &[event("first", "x")]);
    stage.flush().await;
    stage.dead_letter(claim, "first", 1).await;
    let seen = crate::ledger::Reopening { key: identity("first").key(), generation: 1 };
    let act = crate::ledger::Act { actor: "ada".to_owned(), why: None };
    stage.ledger.reopen(&[seen], &act).await.unwrap();
    stage.remove_notes(claim).await;
    stage.accept(claim, OFFSET + 10, &[event("first", "x")]);
    assert_eq!(said(&stage.flush().await), ["up to 14: ours ended as []"]);
    assert_eq!(stage.reopened_notes(claim).await, 1, "the first record of a reopened row");
}

#[tokio::test]
async fn a_record_that_is_still_unreadable_is_the_same_row_when_it_is_replayed() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    stage.replay(claim, 40, &unreadable("a"), 2);
    stage.replay(claim, 41, &unreadable("a"), 2);
    stage.replay(claim, 42, &unreadable("a"), 3);
    let reports = ["up to 41: new ended as [1]", "up to 42: ours ended as []", "up to 43: replays ended as []"];
    assert_eq!(said(&stage.flush().await), reports);
    assert_eq!(stage.reopened_notes(claim).await, 1, "the third one goes on from the second generation");
    assert_eq!(stage.outbox(claim).await, [1]);
}

#[tokio::test]
async fn a_record_whose_side_headers_cannot_be_a_replays_takes_no_events_place() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    let mut garbled = super::stage::record(0, 40, &event("e", "x"));
    garbled.headers.push(("pl-generation".to_owned(), Some(b"2".to_vec())));
    let draft = stage.preparer.draft(garbled, 0, 0);
    let reason = draft.row.ended.as_ref().map(|ended| ended.reason.0.as_str());
    assert_eq!((reason, draft.row.identity.is_none()), (Some("malformed_event"), true));
    stage.ask(Job::Accept { claim, position: draft.next_offset, drafts: vec![draft] });
    assert_eq!(said(&stage.flush().await), ["up to 41: new ended as [1]"]);
    stage.accept(claim, 41, &[event("e", "x")]);
    assert_eq!(said(&stage.flush().await), ["up to 42: new ended as []"], "the event itself is new");
}
