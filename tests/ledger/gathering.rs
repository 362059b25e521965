//! Lanes that the topic no longer has: what is left in them goes on in lane 0.

use profile_linker::domain::{Epoch, Lane, PublishSeq};
use profile_linker::ledger::{Claim, DeadLetterFilter, Gathered, Gathering, Ledger, LetterState, NewRow, RowState};

use crate::purging::{ALL, publish, purged};
use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    unfinished_rows_of_a_lost_lane_are_the_first_lanes_and_keep_their_origin,
    results_that_were_not_published_are_numbered_anew_and_those_that_were_stay,
    dead_letters_of_a_lost_lane_are_replayed_by_the_first_lanes_owner_and_end_under_any_number,
    a_reopened_row_whose_last_result_is_unpublished_is_gathered_with_it,
    a_lost_lanes_last_owner_writes_nothing_any_more,
    what_was_gathered_is_gathered_once_and_its_numbers_are_told_again,
    a_lane_of_the_present_topic_is_left_alone_whatever_the_count_says,
    a_record_whose_row_was_gathered_is_a_duplicate_should_the_lane_come_back,
    without_the_first_lanes_claim_nothing_is_gathered,
    what_was_gathered_is_purged_like_all_other_rows,
    what_a_restored_ledger_gathers_may_have_been_sent,
);

const OLD: &str = "old-topic";
const NEW: &str = "new-topic";

/// Lanes of a topic, as a worker has them.
async fn lanes<const N: usize>(ledger: &dyn Ledger, numbers: [i32; N], topic: &str) -> [Claim; N] {
    let claims = raise(ledger, numbers).await;
    ledger.note_topic(&claims, topic).await.unwrap();
    claims
}

/// The new topic's owner of lane 0, which was released cleanly, or not.
async fn owner(ledger: &dyn Ledger) -> Claim {
    let [claim] = lanes(ledger, [0], NEW).await;
    claim
}

/// A row that was accepted in a lane that the new topic does not have.
async fn left_behind(ledger: &dyn Ledger) -> (Claim, NewRow) {
    let [_, second] = lanes(ledger, [0, 1], OLD).await;
    let row = new_row(second, 5, "a");
    accept(ledger, second, &row).await;
    (second, row)
}

async fn gather(ledger: &dyn Ledger, into: Claim, first: i64) -> Gathered {
    let first_seq = PublishSeq(first);
    ledger
        .gather(&Gathering { into, first_seq, partitions: 1, topic_id: NEW.to_owned(), restored: false })
        .await
        .unwrap()
}

async fn what_a_restored_ledger_gathers_may_have_been_sent(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [_, second] = lanes(ledger, [0, 1], OLD).await;
    accept(ledger, second, &new_row(second, 5, "a")).await;
    // The last end of this one is not published, and it is reopened: it goes by its number.
    let reopened = new_row(second, 6, "b");
    dead_letter(ledger, second, &reopened, 1).await;
    ledger.reopen(&[reopening(&reopened, 1)], &act()).await.unwrap();
    let into = owner(ledger).await;
    let gathering =
        Gathering { into, first_seq: PublishSeq(1), partitions: 1, topic_id: NEW.to_owned(), restored: true };
    assert_eq!(ledger.gather(&gathering).await.unwrap().rows, 2);
    let keys = [key("a"), reopened.key];
    let there = ledger.unfinished(&[into], Some(&keys)).await.unwrap();
    assert_eq!(there.iter().map(|row| row.possibly_sent).collect::<Vec<_>>(), [true, true]);
}

async fn unfinished_rows_of_a_lost_lane_are_the_first_lanes_and_keep_their_origin(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [_, second, third] = lanes(ledger, [0, 1, 2], OLD).await;
    let [a, b] = [new_row(second, 5, "a"), new_row(third, 6, "b")];
    accept(ledger, second, &a).await;
    accept(ledger, third, &b).await;
    ledger.converted(&[third], &[converted(&b)]).await.unwrap();
    ledger.release(&[(second, true)]).await.unwrap();
    let claim = owner(ledger).await;
    let gathered = gather(ledger, claim, 1).await;
    assert_eq!((gathered.lanes, gathered.rows, gathered.numbers), (vec![Lane(1), Lane(2)], 2, 0));
    assert!(!gathered.clean, "one of them was not released");
    let rows = ledger.unfinished(&[claim], None).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.lane, row.partition, row.offset, row.state)).collect();
    assert_eq!(told, [(Lane(0), 1, 5, RowState::Accepted), (Lane(0), 2, 6, RowState::Converted)]);
    assert!(rows.iter().all(|row| row.epoch < claim.epoch), "they were begun before");
    let ends =
        [ended(&new_row(claim, 5, "a"), RowState::Linked, 1), ended(&new_row(claim, 6, "b"), RowState::Linked, 2)];
    assert!(ledger.end(&[claim], &ends).await.unwrap().is_empty());
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap().len(), 2);
}

async fn results_that_were_not_published_are_numbered_anew_and_those_that_were_stay(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [first, second] = lanes(ledger, [0, 1], OLD).await;
    for (number, id) in [(1, "x"), (2, "y")] {
        accept(ledger, first, &new_row(first, number, id)).await;
        ledger.end(&[first], &[ended(&new_row(first, number, id), RowState::Linked, number)]).await.unwrap();
    }
    for (number, id) in [(7, "a"), (8, "b"), (9, "c")] {
        accept(ledger, second, &new_row(second, number, id)).await;
        ledger.end(&[second], &[ended(&new_row(second, number, id), RowState::Rejected, number)]).await.unwrap();
    }
    publish(ledger, second, 7).await;
    let claim = owner(ledger).await;
    let gathered = gather(ledger, claim, 3).await;
    assert_eq!((gathered.rows, gathered.numbers, gathered.last_seq), (2, 2, 4));
    let numbers: Vec<_> =
        ledger.unpublished(&[(claim, 0)]).await.unwrap().iter().map(|result| result.publish_seq.0).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(stored(ledger, key("b")).await.publish_seq, Some(PublishSeq(3)));
    let published = stored(ledger, key("a")).await;
    assert_eq!((published.lane, published.publish_seq), (Lane(1), Some(PublishSeq(7))));
    let [again] = raise(ledger, [1]).await;
    assert!(ledger.unpublished(&[(again, 0)]).await.unwrap().is_empty());
}

async fn dead_letters_of_a_lost_lane_are_replayed_by_the_first_lanes_owner_and_end_under_any_number(stage: &Stage) {
    drop(stage.ledger().await);
    let (ledger, letters) = stage.open_with_dead_letters().await;
    let [_, second] = lanes(&*ledger, [0, 1], OLD).await;
    let row = new_row(second, 5, "a");
    dead_letter(&*ledger, second, &row, 1).await;
    publish(&*ledger, second, 1).await;
    let claim = owner(&*ledger).await;
    gather(&*ledger, claim, 1).await;
    let dead = DeadLetterFilter { states: vec![LetterState::DeadLettered], ..DeadLetterFilter::default() };
    let [there] = &letters.page(&dead, None, 10).await.unwrap()[..] else { panic!("not one") };
    assert_eq!((there.lane, there.offset), (Lane(1), 5), "it is told where its record stood");
    assert_eq!(ledger.reopen(&[there.as_seen()], &act()).await.unwrap(), [row.key]);
    let [note] = &ledger.notes(&[claim]).await.unwrap()[..] else { panic!("not one note") };
    assert_eq!((note.key, note.lane), (row.key, Lane(0)));
    // The number of its last end was another lane's: the same one here is a new end.
    let end = ended(&new_row(claim, 5, "a"), RowState::Linked, 1);
    assert!(ledger.end(&[claim], &[end]).await.unwrap().is_empty());
    assert_eq!(stored(&*ledger, row.key).await.state, RowState::Linked);
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap().len(), 1);
}

async fn a_reopened_row_whose_last_result_is_unpublished_is_gathered_with_it(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [_, second] = lanes(ledger, [0, 1], OLD).await;
    let row = new_row(second, 5, "a");
    dead_letter(ledger, second, &row, 1).await;
    ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap();
    let claim = owner(ledger).await;
    let gathered = gather(ledger, claim, 4).await;
    assert_eq!((gathered.rows, gathered.numbers, gathered.last_seq), (1, 1, 4));
    let [there] = &ledger.unfinished(&[claim], Some(&[row.key])).await.unwrap()[..] else { panic!("not unfinished") };
    assert_eq!((there.generation, there.partition), (2, 1));
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap()[0].records.len(), 2);
    let end = ended(&new_row(claim, 5, "a"), RowState::DeadLettered, 5);
    assert!(ledger.end(&[claim], &[end]).await.unwrap().is_empty());
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap().len(), 2);
}

async fn a_lost_lanes_last_owner_writes_nothing_any_more(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (second, row) = left_behind(ledger).await;
    let claim = owner(ledger).await;
    gather(ledger, claim, 1).await;
    let refused = ledger.end(&[second], &[ended(&row, RowState::Linked, 1)]).await.unwrap();
    assert_eq!(refused, crate::rows::lanes(&[1]));
    assert_eq!(stored(ledger, row.key).await.state, RowState::Accepted);
}

async fn what_was_gathered_is_gathered_once_and_its_numbers_are_told_again(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (second, row) = left_behind(ledger).await;
    ledger.end(&[second], &[ended(&row, RowState::Linked, 1)]).await.unwrap();
    let claim = owner(ledger).await;
    assert_eq!(gather(ledger, claim, 3).await.numbers, 1);
    // The repeat of a gathering whose answer was lost.
    let again = gather(ledger, claim, 3).await;
    assert_eq!(again, Gathered { clean: true, last_seq: 3, ..Gathered::default() });
}

async fn a_lane_of_the_present_topic_is_left_alone_whatever_the_count_says(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim, second] = lanes(ledger, [0, 1], NEW).await;
    let row = new_row(second, 5, "a");
    accept(ledger, second, &row).await;
    assert_eq!(gather(ledger, claim, 1).await, Gathered { clean: true, ..Gathered::default() });
    assert!(ledger.end(&[second], &[ended(&row, RowState::Linked, 1)]).await.unwrap().is_empty());
}

async fn a_record_whose_row_was_gathered_is_a_duplicate_should_the_lane_come_back(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    left_behind(ledger).await;
    let claim = owner(ledger).await;
    gather(ledger, claim, 1).await;
    let [back] = lanes(ledger, [1], NEW).await;
    assert_eq!(ledger.raise("reader", &[Lane(1)]).await.unwrap()[0].position, None, "its records are other ones");
    let [back] = [Claim { epoch: Epoch(back.epoch.0 + 1), ..back }];
    let acceptance = ledger.accept(&[up_to(back, 6, 1)], &[new_row(back, 5, "a")]).await.unwrap();
    assert_eq!(said(&acceptance.rows), ["duplicate"]);
}

async fn without_the_first_lanes_claim_nothing_is_gathered(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [first, second] = lanes(ledger, [0, 1], OLD).await;
    let row = new_row(second, 5, "a");
    accept(ledger, second, &row).await;
    owner(ledger).await;
    assert!(gather(ledger, first, 1).await.lanes.is_empty());
    assert!(ledger.end(&[second], &[ended(&row, RowState::Linked, 1)]).await.unwrap().is_empty());
}

async fn what_was_gathered_is_purged_like_all_other_rows(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [_, second] = lanes(ledger, [0, 1], OLD).await;
    for (number, id) in [(1, "linked"), (2, "dead"), (3, "late")] {
        accept(ledger, second, &new_row(second, number, id)).await;
        let state = if id == "dead" { RowState::DeadLettered } else { RowState::Linked };
        ledger.end(&[second], &[ended(&new_row(second, number, id), state, number)]).await.unwrap();
    }
    publish(ledger, second, 2).await;
    let claim = owner(ledger).await;
    gather(ledger, claim, 1).await;
    assert_eq!(purged(ledger, ALL).await, 2, "all but the one whose result is not published");
    publish(ledger, claim, 1).await;
    assert_eq!(purged(ledger, ALL).await, 1);
}
