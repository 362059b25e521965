use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Stands still until a test moves it.
#[derive(Default)]
struct TestClock(AtomicU64);

impl TestClock {
    fn pass(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        0
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn chance(&self) -> f64 {
        0.0
    }
}

const OURS: Claim = Claim { lane: Lane(3), epoch: Epoch(7) };
const THEIRS: Claim = Claim { lane: Lane(3), epoch: Epoch(8) };
const ANOTHER_LANE: Claim = Claim { lane: Lane(4), epoch: Epoch(7) };

fn gate() -> (Arc<TestClock>, Arc<Confirmations>, LaneGate) {
    let clock = Arc::new(TestClock::default());
    let confirmations = Confirmations::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let gate = LaneGate { claim: OURS, confirmations: Arc::clone(&confirmations) };
    (clock, confirmations, gate)
}

/// What a call that waits has heard by now.
async fn heard<F: Future<Output = bool> + Unpin>(call: &mut F) -> Option<bool> {
    tokio::select! {
        biased;
        opened = call => Some(opened),
        () = std::future::ready(()) => None,
    }
}

#[tokio::test]
async fn a_call_leaves_while_the_confirmation_is_fresh() {
    let (clock, confirmations, gate) = gate();
    confirmations.confirm([OURS], confirmations.asking());
    clock.pass(OWNERSHIP_FRESH - Duration::from_millis(1));
    assert_eq!(heard(&mut gate.opens()).await, Some(true));
}

#[tokio::test]
async fn a_call_waits_while_the_confirmation_is_stale_and_leaves_when_confirmed_anew() {
    let (clock, confirmations, gate) = gate();
    confirmations.confirm([OURS], confirmations.asking());
    clock.pass(OWNERSHIP_FRESH);
    let mut call = gate.opens();
    assert_eq!(heard(&mut call).await, None);
    confirmations.confirm([ANOTHER_LANE], confirmations.asking());
    assert_eq!(heard(&mut call).await, None);
    confirmations.confirm([OURS], confirmations.asking());
    assert_eq!(heard(&mut call).await, Some(true));
}

#[tokio::test]
async fn a_confirmation_counts_from_the_time_of_asking() {
    let (clock, confirmations, gate) = gate();
    let asked_at = confirmations.asking();
    clock.pass(OWNERSHIP_FRESH);
    confirmations.confirm([OURS], asked_at);
    assert_eq!(heard(&mut gate.opens()).await, None);
}

#[tokio::test]
async fn an_answer_that_comes_late_does_not_make_a_newer_one_older() {
    let (clock, confirmations, gate) = gate();
    let early = confirmations.asking();
    clock.pass(OWNERSHIP_FRESH);
    confirmations.confirm([OURS], confirmations.asking());
    confirmations.confirm([OURS], early);
    assert_eq!(heard(&mut gate.opens()).await, Some(true));
}

#[tokio::test]
async fn a_waiting_call_is_withdrawn_when_another_epoch_is_confirmed() {
    let (_, confirmations, gate) = gate();
    let mut call = gate.opens();
    assert_eq!(heard(&mut call).await, None);
    confirmations.confirm([THEIRS], confirmations.asking());
    assert_eq!(heard(&mut call).await, Some(false));
    confirmations.confirm([OURS], confirmations.asking());
    assert_eq!(heard(&mut gate.opens()).await, Some(false), "an old epoch never comes back");
}

#[tokio::test]
async fn a_waiting_call_is_withdrawn_when_its_lane_is_given_up() {
    let (clock, confirmations, gate) = gate();
    confirmations.confirm([OURS], confirmations.asking());
    clock.pass(OWNERSHIP_FRESH);
    let mut call = gate.opens();
    assert_eq!(heard(&mut call).await, None);
    confirmations.give_up(OURS);
    assert_eq!(heard(&mut call).await, Some(false));
}

#[tokio::test]
async fn a_late_confirmation_does_not_open_a_lane_that_was_given_up_but_a_new_epoch_does() {
    let (_, confirmations, gate) = gate();
    confirmations.confirm([OURS], confirmations.asking());
    confirmations.give_up(OURS);
    confirmations.confirm([OURS], confirmations.asking());
    assert_eq!(heard(&mut gate.opens()).await, Some(false));
    confirmations.confirm([THEIRS], confirmations.asking());
    let taken_again = LaneGate { claim: THEIRS, confirmations };
    assert_eq!(heard(&mut taken_again.opens()).await, Some(true));
}
