//! The story of a long outage: everything that failed is replayed, through every interruption, and each profile is linked once.

use std::time::{Duration, Instant};

use crate::replaying::{actions, assert_once_each, audit_lines, dead_letters_of_an_outage};
use crate::support::child::{Guarded, Signal};
use crate::support::operator::{WIDE, dlq, replay, started};
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, Stand};

crate::cases! {
    all_that_an_outage_left_is_linked_once_through_every_interruption needs [Kafka, Postgres];
}

/// For the full size, in a build for tests, on a busy machine.
const LONG: Duration = Duration::from_secs(900);
/// As `WIDE`, with a budget in which what may have been sent is looked for until it can be under way no more, and a share for
/// replays that does not make the full size last.
const SETTINGS: [(&str, &str); 6] =
    [("RETRY__BUDGET", "8s"), WIDE[1], WIDE[2], WIDE[3], WIDE[4], ("WORKER__MAX_IN_FLIGHT", "200")];
/// What every run can afford.
const USUAL: usize = 80;

/// One event each; `PROFILE_LINKER_TEST_REPLAYS=1000` asks for as many as the promise names.
fn customers() -> usize {
    let asked = std::env::var("PROFILE_LINKER_TEST_REPLAYS").ok();
    asked.map_or(USUAL, |asked| asked.parse().expect("PROFILE_LINKER_TEST_REPLAYS is a number"))
}

async fn all_that_an_outage_left_is_linked_once_through_every_interruption(parts: &RealParts) {
    let customers = customers();
    let rate = format!("{}/s", (customers / 8).max(10));
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = started(&stand, &SETTINGS).await;
    let converted = dead_letters_of_an_outage(&stand, customers).await;
    stand.sandbox.heal().await;
    let began = Instant::now();
    // Interrupted, as somebody does who wants to look first.
    let mut first = replay(&stand, &["--by", "ada", "--ramp"]);
    replayed(&[&first], customers / 20).await;
    first.signal(Signal::Interrupt);
    assert_eq!(first.end_within(LONG).expect("it ends").code(), Some(130), "{}", first.output());
    // Killed, and the worker with it.
    let mut second = replay(&stand, &["--by", "ada", "--rate", &rate]);
    replayed(&[&second], customers / 8).await;
    second.signal(Signal::Kill);
    worker.kill();
    assert!(second.end_within(LONG).is_some(), "it is gone");
    // Two operators at once; the worker that took over is killed under their hands.
    let mut operators =
        [replay(&stand, &["--by", "ada", "--rate", &rate]), replay(&stand, &["--by", "bob", "--rate", &rate])];
    let worker = started(&stand, &SETTINGS).await;
    replayed(&[&operators[0], &operators[1]], customers / 3).await;
    worker.kill();
    let worker = started(&stand, &SETTINGS).await;
    for operator in &mut operators {
        assert_eq!(operator.end_within(LONG).expect("it ends").code(), Some(0), "{}", operator.output());
    }
    let reopened = began.elapsed();
    let again = replay_until_none_is_left(&stand).await;
    assert_once_each(&stand, customers, converted).await;
    let (done, lines) = (began.elapsed(), audit_lines(&stand));
    // A write that a kill left without an answer has its line, and nobody told of it.
    let told: usize = [&first, &second, &operators[0], &operators[1]].iter().map(|one| actions(one, "replayed")).sum();
    let told = told + again;
    println!(
        "{customers} dead letters: {told} told, {lines} lines in the audit; asked for in {:.1} s ({:.0}/s), all linked after {:.1} s \
         ({:.0}/s)",
        reopened.as_secs_f64(),
        customers as f64 / reopened.as_secs_f64(),
        done.as_secs_f64(),
        customers as f64 / done.as_secs_f64(),
    );
    assert!((customers..=customers + told).contains(&lines) && told <= lines, "{told} told, {lines} written down");
    assert_eq!(worker.terminate(), 0);
}

/// On a busy machine some may fail again: the same command goes on with them. Answers how many it replayed.
async fn replay_until_none_is_left(stand: &Stand<'_>) -> usize {
    let mut replayed = 0;
    eventually("every replay has ended well", LONG, async || {
        let listed = dlq(stand, &["list"]);
        if listed.iter().any(|letter| letter["state"] == "dead-lettered") {
            let told = dlq(stand, &["replay", "--by", "ada"]);
            replayed += told.last().and_then(|last| last["replayed"].as_u64()).unwrap_or(0) as usize;
        }
        listed.is_empty().then_some(())
    })
    .await;
    replayed
}

/// Waits until these told of so many.
async fn replayed(replays: &[&Guarded], wanted: usize) {
    let told = || replays.iter().map(|one| actions(one, "replayed")).sum::<usize>();
    eventually("some are replayed", LONG, async || (told() >= wanted).then_some(())).await;
}
