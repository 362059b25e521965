//! Records of a topic that the ledger served before: an adoption does not shut what was sealed.

use std::sync::Arc;

use profile_linker::ledger::custody::record_context;
use profile_linker::ledger::rotation::Rotation;
use profile_linker::ledger::{DeadLetterFilter, Ledger, LetterState, NewRow, RowState, Serves};

use crate::replacing::replacement;
use crate::rotating::{TOPIC, both, rotate, sealed_row};
use crate::rows::*;
use crate::stage::{Stage, vault};

crate::ledger_cases!(Both:
    a_record_opens_however_often_another_topic_was_adopted,
    a_rotation_seals_anew_what_came_from_a_topic_that_was_served_before,
    a_dead_letter_is_found_at_the_topic_it_came_from,
    an_adoption_of_the_same_topic_changes_no_rows_topic,
    an_edited_event_is_of_the_topic_of_the_one_that_it_replaces,
);

fn serves(topic: &str) -> Serves {
    Serves { cluster_id: "one".to_owned(), group: "group".to_owned(), topic: topic.to_owned() }
}

/// One that waits and a dead letter, of [`TOPIC`], which the ledger serves.
async fn two_rows(stage: &Stage) -> (Arc<dyn Ledger>, [NewRow; 2]) {
    let ledger = stage.ledger().await;
    ledger.bind(&serves(TOPIC)).await.unwrap();
    let [claim] = raise(&*ledger, [0]).await;
    let rows = [sealed_row(&vault(), claim, 0, "waiting"), sealed_row(&vault(), claim, 1, "dead")];
    ledger.accept(&[up_to(claim, 2, 1)], &rows).await.unwrap();
    ledger.end(&[claim], &[ended(&rows[1], RowState::DeadLettered, 1)]).await.unwrap();
    (ledger, rows)
}

async fn a_record_opens_however_often_another_topic_was_adopted(stage: &Stage) {
    let (ledger, old) = two_rows(stage).await;
    let mut rows = old.map(|row| (TOPIC, row)).to_vec();
    for (n, topic) in [(2, "second"), (3, "third"), (4, TOPIC), (5, "second")] {
        ledger.adopt(&serves(topic), &act()).await.unwrap();
        for (from, row) in &rows {
            let there = stored(&*ledger, row.key).await;
            assert_eq!(there.origin(topic).topic, *from, "{n}");
            assert_eq!(there.topic.as_deref(), (*from != topic).then_some(*from), "{n}: told where it is another");
            if row.offset < 2 {
                vault().open(&record_context(&there.origin(topic)), &there.sealed_record).expect("it opens");
            }
        }
        let [claim] = raise(&*ledger, [0]).await;
        let row = new_row(claim, n, &format!("of {topic}, {n}"));
        accept(&*ledger, claim, &row).await;
        let unfinished = ledger.unfinished(&[claim], None).await.unwrap();
        assert_eq!(unfinished.len(), usize::try_from(n).unwrap());
        assert_eq!(unfinished[0].origin(topic).topic, TOPIC, "a new owner is told, too");
        rows.push((topic, row));
    }
}

async fn a_rotation_seals_anew_what_came_from_a_topic_that_was_served_before(stage: &Stage) {
    let (ledger, rows) = two_rows(stage).await;
    ledger.adopt(&serves("other"), &act()).await.unwrap();
    let rotation = Rotation { ledger: &*ledger, vault: &both("k2"), topic: "other", act: &act() };
    let rotated = rotation.run(&|_, _| {}).await.unwrap();
    assert_eq!((rotated.records, rotated.left, rotated.unopened), (2, 0, 0));
    let there = stored(&*ledger, rows[1].key).await;
    both("k2").open(&record_context(&there.origin("other")), &there.sealed_record).expect("bound as before");
    ledger.adopt(&serves(TOPIC), &act()).await.unwrap();
    assert_eq!(rotate(&*ledger, &both("k1")).await.unwrap().records, 2, "and back");
}

async fn an_edited_event_is_of_the_topic_of_the_one_that_it_replaces(stage: &Stage) {
    let (ledger, [_, dead]) = two_rows(stage).await;
    ledger.adopt(&serves("other"), &act()).await.unwrap();
    drop(ledger);
    let (ledger, letters) = stage.open_with_dead_letters().await;
    assert!(letters.replace(&replacement(&dead, 1, "edited"), &act()).await.unwrap());
    assert_eq!(stored(&*ledger, key("edited")).await.topic.as_deref(), Some(TOPIC));
}

async fn a_dead_letter_is_found_at_the_topic_it_came_from(stage: &Stage) {
    let (ledger, [_, dead]) = two_rows(stage).await;
    ledger.adopt(&serves("other"), &act()).await.unwrap();
    drop(ledger);
    let (_ledger, letters) = stage.open_with_dead_letters().await;
    let at = |place_topic: Option<&str>| DeadLetterFilter {
        states: LetterState::ALL.to_vec(),
        place: Some((0, 1)),
        place_topic: place_topic.map(str::to_owned),
        ..DeadLetterFilter::default()
    };
    for (asked, found) in [(Some(TOPIC), 1), (Some("third"), 0), (Some("with\0"), 0), (None, 0)] {
        let page = letters.page(&at(asked), None, 9).await.unwrap();
        assert_eq!(page.len(), found, "{asked:?}");
        assert_eq!(letters.stats(&at(asked)).await.unwrap().len(), found, "{asked:?}");
        for letter in page {
            assert_eq!((letter.key, letter.topic.as_deref()), (dead.key, Some(TOPIC)));
        }
    }
}

async fn an_adoption_of_the_same_topic_changes_no_rows_topic(stage: &Stage) {
    let (ledger, rows) = two_rows(stage).await;
    ledger.adopt(&serves(TOPIC), &act()).await.unwrap();
    let other_cluster = Serves { cluster_id: "two".to_owned(), ..serves(TOPIC) };
    ledger.adopt(&other_cluster, &act()).await.unwrap();
    for row in &rows {
        assert_eq!(stored(&*ledger, row.key).await.topic, None);
    }
}
