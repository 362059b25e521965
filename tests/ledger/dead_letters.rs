//! Dead letters as operators see them: pages by filter, groups, set aside and taken back, and who did it.

use std::sync::Arc;

use profile_linker::domain::{Customer, EventKey, System};
use profile_linker::ledger::{
    AuditFilter, AuditFrom, Claim, DeadLetter, DeadLetterFilter, DeadLetters, Ledger, LetterState, NewRow, Purge,
    RowState,
};

use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    a_dead_letter_is_listed_with_all_that_is_known_of_it,
    what_is_accepted_as_a_dead_letter_is_listed_at_once,
    each_filter_admits_what_it_names_and_nothing_else,
    pages_hold_each_dead_letter_once_in_the_order_of_the_input_whatever_is_replayed_meanwhile,
    dead_letters_are_counted_by_reason_and_stage,
    none_that_is_there_is_of_after_the_latest_time_though_the_clock_was_put_back,
    a_replayed_dead_letter_is_listed_as_replaying_until_it_ends,
    one_that_ends_again_as_a_dead_letter_is_listed_again_with_its_new_generation,
    a_discarded_dead_letter_is_not_replayed_until_it_is_restored,
    a_discarding_needs_the_generation_that_was_seen_and_is_done_once,
    what_is_purged_is_listed_no_more,
    the_audit_tells_who_did_what_to_which_event_and_why,
    a_story_tells_whether_a_replay_would_convert,
    dead_letters_of_before_the_migration_are_listed_after_it,
);

/// Both ports of a new ledger, and lane 0.
async fn ledger(stage: &Stage) -> (Arc<dyn Ledger>, Arc<dyn DeadLetters>, Claim) {
    drop(stage.ledger().await);
    let (ledger, letters) = stage.open_with_dead_letters().await;
    let [claim] = raise(&*ledger, [0]).await;
    (ledger, letters, claim)
}

fn in_states(states: &[LetterState]) -> DeadLetterFilter {
    DeadLetterFilter { states: states.to_vec(), ..DeadLetterFilter::default() }
}

fn any() -> DeadLetterFilter {
    in_states(&LetterState::ALL)
}

async fn page(letters: &dyn DeadLetters, filter: &DeadLetterFilter) -> Vec<DeadLetter> {
    letters.page(filter, None, 100).await.expect("a page")
}

fn keys(letters: &[DeadLetter]) -> Vec<EventKey> {
    letters.iter().map(|letter| letter.key).collect()
}

async fn a_dead_letter_is_listed_with_all_that_is_known_of_it(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let before = letters.now_ms().await.unwrap();
    let row = new_row(claim, 7, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    let [there] = &page(&*letters, &any()).await[..] else { panic!("not one") };
    assert_eq!((there.key, there.state, there.generation), (row.key, LetterState::DeadLettered, 1));
    assert_eq!((&there.identity, &there.customer), (&row.identity, &row.customer));
    assert_eq!((there.lane, there.offset, there.timestamp), (row.lane, row.offset, row.timestamp));
    assert_eq!((there.reason.as_str(), there.stage.as_str(), there.attempts), ("link_refused", "link", ATTEMPTS));
    let after = letters.now_ms().await.unwrap();
    assert!((before..=after).contains(&there.dead_lettered_at), "{} {before} {after}", there.dead_lettered_at);
}

async fn what_is_accepted_as_a_dead_letter_is_listed_at_once(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let unreadable = NewRow { identity: None, customer: None, ..new_row(claim, 0, "unreadable") };
    let rows = [
        ending(unreadable, RowState::DeadLettered),
        ending(new_row(claim, 1, "refused"), RowState::Rejected),
        new_row(claim, 2, "usual"),
    ];
    ledger.accept(&[up_to(claim, 3, 1)], &rows).await.unwrap();
    let [there] = &page(&*letters, &any()).await[..] else { panic!("not one") };
    assert_eq!((there.key, &there.identity, &there.customer), (rows[0].key, &None, &None));
    assert_eq!((there.reason.as_str(), there.stage.as_str(), there.attempts.link), ("invalid_event", "validate", 0));
}

async fn each_filter_admits_what_it_names_and_nothing_else(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let customer = Some(Customer { system: System::Aloha, id: "0a-Bc".to_owned() });
    let [a, b] = [new_row(claim, 0, "a"), NewRow { customer, ..new_row(claim, 1, "b") }];
    dead_letter(&*ledger, claim, &a, 1).await;
    ledger.accept(&[up_to(claim, 2, 2)], &[ending(b.clone(), RowState::DeadLettered)]).await.unwrap();
    let now = letters.now_ms().await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let none = DeadLetterFilter::default;
    let cases = [
        (any(), "ab"),
        (DeadLetterFilter { reason: text("link_refused"), ..none() }, "a"),
        (DeadLetterFilter { stage: text("validate"), ..none() }, "b"),
        (DeadLetterFilter { customer_id: text("0A-bC"), ..none() }, "b"),
        (DeadLetterFilter { customer_system: text("loanpro"), ..none() }, "a"),
        (DeadLetterFilter { event_id: text("b"), ..none() }, "b"),
        (DeadLetterFilter { event_id: text("b\0"), ..none() }, ""),
        (DeadLetterFilter { place: Some((0, 1)), ..none() }, "b"),
        (DeadLetterFilter { place: Some((1, 1)), ..none() }, ""),
        (DeadLetterFilter { since: Some(now + 60_000), ..none() }, ""),
        (DeadLetterFilter { since: Some(now - 60_000), ..none() }, "ab"),
        (DeadLetterFilter { until: Some(now - 60_000), ..none() }, ""),
        (DeadLetterFilter { until: Some(now), ..none() }, "ab"),
        (DeadLetterFilter { stage: text("link"), event_id: text("b"), ..none() }, ""),
    ];
    for (filter, admitted) in cases {
        let filter = DeadLetterFilter { states: LetterState::ALL.to_vec(), ..filter };
        let found = keys(&page(&*letters, &filter).await);
        let expected: Vec<_> = admitted.chars().map(|id| key(&id.to_string())).collect();
        assert_eq!(found, expected, "{filter:?}");
        let counted: u64 = letters.stats(&filter).await.unwrap().iter().map(|group| group.count).sum();
        assert_eq!(counted, expected.len() as u64, "counted by {filter:?}");
    }
    assert!(page(&*letters, &in_states(&[LetterState::Discarded])).await.is_empty());
}

async fn pages_hold_each_dead_letter_once_in_the_order_of_the_input_whatever_is_replayed_meanwhile(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    // One batch has one time, so that places alone tell its rows apart.
    let rows: Vec<_> = (0..25).map(|n| ending(new_row(claim, n, &format!("e{n}")), RowState::DeadLettered)).collect();
    ledger.accept(&[up_to(claim, 25, 1)], &rows).await.unwrap();
    let filter = in_states(&[LetterState::DeadLettered]);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = letters.page(&filter, after, 10).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.place());
        let seen: Vec<_> = page.iter().map(DeadLetter::as_seen).collect();
        assert_eq!(ledger.reopen(&seen, &act()).await.unwrap().len(), page.len());
        found.extend(keys(&page));
    }
    assert_eq!(found, rows.iter().map(|row| row.key).collect::<Vec<_>>());
    // Their owner takes them up in that order.
    let notes: Vec<_> = ledger.notes(&[claim]).await.unwrap().iter().map(|note| note.key).collect();
    assert_eq!(notes, found);
}

async fn none_that_is_there_is_of_after_the_latest_time_though_the_clock_was_put_back(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let (before, latest) = (letters.now_ms().await.unwrap(), letters.latest_ms().await.unwrap());
    assert!((before..before + 60_000).contains(&latest), "without a dead letter it is now: {before} {latest}");
    dead_letter(&*ledger, claim, &new_row(claim, 7, "a"), 1).await;
    stage
        .sql(match stage.is_sqlite() {
            true => "UPDATE dead_letter SET dead_lettered_at = dead_lettered_at + 7200000",
            false => "UPDATE dead_letter SET dead_lettered_at = dead_lettered_at + interval '2 hours'",
        })
        .await;
    let [there] = &page(&*letters, &any()).await[..] else { panic!("not one") };
    assert_eq!(letters.latest_ms().await.unwrap(), there.dead_lettered_at);
    let until = |until| DeadLetterFilter { until: Some(until), ..any() };
    assert_eq!(page(&*letters, &until(letters.now_ms().await.unwrap())).await, []);
    assert_eq!(page(&*letters, &until(there.dead_lettered_at)).await.len(), 1);
}

async fn dead_letters_are_counted_by_reason_and_stage(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let other = Some(Customer { system: System::Loanpro, id: "43".to_owned() });
    for (n, customer) in [(0, None), (1, other), (2, new_row(claim, 0, "").customer)] {
        let row = NewRow { customer, ..new_row(claim, n, &format!("e{n}")) };
        ledger.accept(&[up_to(claim, n + 1, n + 1)], &[ending(row, RowState::DeadLettered)]).await.unwrap();
    }
    dead_letter(&*ledger, claim, &new_row(claim, 3, "e3"), 4).await;
    let [invalid, refused] = &letters.stats(&any()).await.unwrap()[..] else { panic!("not two groups") };
    assert_eq!((invalid.reason.as_str(), invalid.stage.as_str()), ("invalid_event", "validate"));
    assert_eq!((invalid.count, invalid.customers, invalid.example.as_deref()), (3, 2, Some("e0")));
    assert_eq!((refused.reason.as_str(), refused.count, refused.customers), ("link_refused", 1, 1));
    assert!(invalid.newest_age_s <= invalid.oldest_age_s && invalid.oldest_age_s < 60, "{invalid:?}");
}

async fn a_replayed_dead_letter_is_listed_as_replaying_until_it_ends(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let [a, b] = [new_row(claim, 0, "a"), new_row(claim, 1, "b")];
    dead_letter(&*ledger, claim, &a, 1).await;
    dead_letter(&*ledger, claim, &b, 2).await;
    ledger.reopen(&[reopening(&a, 1), reopening(&b, 1)], &act()).await.unwrap();
    let replaying = page(&*letters, &any()).await;
    assert!(replaying.iter().all(|one| (one.state, one.generation) == (LetterState::Replaying, 2)), "{replaying:?}");
    let states: Vec<_> = letters.fates(&[a.key, b.key, key("none")]).await.unwrap();
    assert!(states.len() == 2 && states.iter().all(|fate| (fate.state, fate.generation) == (RowState::Accepted, 2)));
    ledger.end(&[claim], &[ended(&a, RowState::Linked, 3), ended(&b, RowState::Rejected, 4)]).await.unwrap();
    assert!(page(&*letters, &any()).await.is_empty());
}

async fn one_that_ends_again_as_a_dead_letter_is_listed_again_with_its_new_generation(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let row = new_row(claim, 0, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap();
    ledger.end(&[claim], &[ended(&row, RowState::DeadLettered, 2)]).await.unwrap();
    let [there] = &page(&*letters, &any()).await[..] else { panic!("not one") };
    assert_eq!((there.key, there.state, there.generation), (row.key, LetterState::DeadLettered, 2));
    assert_eq!(ledger.reopen(&[there.as_seen()], &act()).await.unwrap(), [row.key]);
}

async fn a_discarded_dead_letter_is_not_replayed_until_it_is_restored(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let row = new_row(claim, 0, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    assert_eq!(letters.discard(&[reopening(&row, 1)], &act()).await.unwrap(), [row.key]);
    assert!(page(&*letters, &in_states(&[LetterState::DeadLettered])).await.is_empty());
    assert_eq!(keys(&page(&*letters, &in_states(&[LetterState::Discarded])).await), [row.key]);
    assert!(ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap().is_empty());
    assert_eq!(stored(&*ledger, row.key).await.state, RowState::DeadLettered);
    assert_eq!(letters.restore(&[reopening(&row, 1)], &act()).await.unwrap(), [row.key]);
    assert_eq!(ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap(), [row.key]);
}

async fn a_discarding_needs_the_generation_that_was_seen_and_is_done_once(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let [row, usual] = [new_row(claim, 0, "a"), new_row(claim, 1, "usual")];
    dead_letter(&*ledger, claim, &row, 1).await;
    accept(&*ledger, claim, &usual).await;
    let asked = [reopening(&row, 2), reopening(&usual, 1)];
    assert!(letters.discard(&asked, &act()).await.unwrap().is_empty());
    assert!(letters.restore(&[reopening(&row, 1)], &act()).await.unwrap().is_empty());
    let twice = [reopening(&row, 1), reopening(&row, 1)];
    assert_eq!(letters.discard(&twice, &act()).await.unwrap(), [row.key]);
    assert!(letters.discard(&twice, &act()).await.unwrap().is_empty());
    ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap();
    drop((ledger, letters));
    assert_eq!(stage.audit().await.len(), 1, "what was not done is not in the audit");
}

async fn what_is_purged_is_listed_no_more(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let row = new_row(claim, 0, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    letters.discard(&[reopening(&row, 1)], &act()).await.unwrap();
    ledger.save_cursors(&[(claim, 1)]).await.unwrap();
    let none = std::time::Duration::ZERO;
    let purge = Purge { now_ms: i64::MAX, ended: none, dead_lettered: none, record: none, after: None, limit: 10 };
    assert_eq!(ledger.purge(&purge).await.unwrap().removed, 1);
    assert!(page(&*letters, &any()).await.is_empty());
    assert!(letters.story(row.key).await.unwrap().is_none());
}

async fn the_audit_tells_who_did_what_to_which_event_and_why(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let rows = [new_row(claim, 0, "a"), new_row(claim, 1, "b")];
    dead_letter(&*ledger, claim, &rows[0], 1).await;
    dead_letter(&*ledger, claim, &rows[1], 2).await;
    letters.discard(&[reopening(&rows[0], 1)], &act()).await.unwrap();
    letters.restore(&[reopening(&rows[0], 1)], &act()).await.unwrap();
    ledger.reopen(&[reopening(&rows[1], 1)], &act()).await.unwrap();
    ledger.pause(profile_linker::ledger::PauseKind::Operator, &act()).await.unwrap();
    let all = letters.audit(&AuditFilter::default(), AuditFrom::Latest, 10).await.unwrap();
    let said: Vec<_> = all.iter().map(|line| (line.act.as_str(), line.event_id.as_deref())).collect();
    assert_eq!(said, [("intake-pause", None), ("replay", Some("b")), ("restore", Some("a")), ("discard", Some("a"))]);
    assert!(all.iter().all(|line| line.actor == "ada" && line.why.as_deref() == Some("it's fixed")));
    let of = async |filter: AuditFilter| letters.audit(&filter, AuditFrom::Latest, 10).await;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(of(AuditFilter { act: text("replay"), ..AuditFilter::default() }).await.unwrap(), [all[1].clone()]);
    assert!(of(AuditFilter { actor: text("bob"), ..AuditFilter::default() }).await.unwrap().is_empty());
    assert!(of(AuditFilter { until: Some(all[3].at - 1), ..AuditFilter::default() }).await.unwrap().is_empty());
    let target = Some(all[3].target.clone());
    assert_eq!(of(AuditFilter { target, ..AuditFilter::default() }).await.unwrap().len(), 2);
    let earlier = letters.audit(&AuditFilter::default(), AuditFrom::Before(all[1].number), 1).await.unwrap();
    assert_eq!(earlier, [all[2].clone()]);
    let later = letters.audit(&AuditFilter::default(), AuditFrom::After(all[3].number), 2).await.unwrap();
    assert_eq!(later, [all[2].clone(), all[1].clone()]);
}

async fn a_story_tells_whether_a_replay_would_convert(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let [a, b] = [new_row(claim, 0, "a"), new_row(claim, 1, "b")];
    accept(&*ledger, claim, &a).await;
    ledger.converted(&[claim], &[converted(&a)]).await.unwrap();
    let mut end = ended(&a, RowState::DeadLettered, 1);
    end.timeline = "1 end rejected:link_refused - 0\n".to_owned();
    ledger.end(&[claim], &[end]).await.unwrap();
    dead_letter(&*ledger, claim, &b, 2).await;
    let [a, b] = [letters.story(a.key).await.unwrap().unwrap(), letters.story(b.key).await.unwrap().unwrap()];
    assert_eq!((a.converted, b.converted), (true, false));
    assert!(a.timeline.ends_with("1 end rejected:link_refused - 0\n"), "{}", a.timeline);
    assert!(!a.possibly_sent && a.first_failed_at.is_none() && a.accepted_at > 0, "{a:?}");
}

async fn dead_letters_of_before_the_migration_are_listed_after_it(stage: &Stage) {
    let (ledger, letters, claim) = ledger(stage).await;
    let [dead, replayed, usual] =
        [new_row(claim, 0, "dead"), new_row(claim, 1, "replayed"), new_row(claim, 2, "usual")];
    dead_letter(&*ledger, claim, &dead, 1).await;
    dead_letter(&*ledger, claim, &replayed, 2).await;
    ledger.reopen(&[reopening(&replayed, 1)], &act()).await.unwrap();
    accept(&*ledger, claim, &usual).await;
    let before = page(&*letters, &in_states(&[LetterState::DeadLettered])).await;
    drop((ledger, letters));
    stage.sql("DROP TABLE flood_limit; DROP TABLE dead_letter; DROP TABLE replacement; DROP INDEX note_key; DROP INDEX note_order").await;
    stage.sql("ALTER TABLE sealed_record DROP COLUMN topic").await;
    stage.sql("DELETE FROM _sqlx_migrations WHERE version > 4").await;
    drop(stage.ledger().await);
    let (_, letters) = stage.open_with_dead_letters().await;
    assert_eq!(page(&*letters, &in_states(&[LetterState::DeadLettered])).await, before);
    let [replaying] = &page(&*letters, &in_states(&[LetterState::Replaying])).await[..] else { panic!("not one") };
    assert_eq!((replaying.key, replaying.generation), (replayed.key, 2));
}
