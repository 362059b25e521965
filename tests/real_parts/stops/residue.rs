//! What is left, and named in the README: a worker frozen between the gate and the kernel's send of a link. It is forced
//! here, so that nobody takes it for impossible; and a freeze one boundary earlier shows that the gate holds.

use serde_json::Value;

use super::cell;
use super::census::link_key;
use super::plan::{Blow, Class, Peer, Side, Stop, Way};
use super::shim::{Armed, Place, Shim};
use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    a_worker_frozen_between_the_gate_and_the_kernel_links_once_more_when_thawed needs [Kafka, Postgres];
    a_worker_frozen_before_the_gate_links_nothing_when_thawed needs [Kafka, Postgres];
}

const EVENT: &str = "frozen";

async fn a_worker_frozen_between_the_gate_and_the_kernel_links_once_more_when_thawed(parts: &RealParts) {
    let stand = cell::prepare(parts).await;
    let shim = Shim::compile();
    // Its own patience outlasts the freeze. Else it would hang up with the request's last byte, and whether a vendor still
    // applies what a caller sent who left is chance.
    stand.amend("\ntimeout = \"700ms\"", "\ntimeout = \"2m\"");
    let (mut frozen, place) = frozen_before_the_link(&stand, &shim).await;
    stand.amend("\ntimeout = \"2m\"", "\ntimeout = \"700ms\"");
    assert_eq!(place, Place::Inside, "the link is about to leave");
    let successor = ended_by_a_successor(&stand).await;
    frozen.worker.thaw();
    // This is what the README says is left: the call cannot be called back.
    profiles(&stand, 2).await;
    // What can be noticed is: the lane was another's meanwhile. And the event keeps the one result that it has.
    notices(&frozen).await;
    assert_eq!((frozen.worker.terminate(), successor.terminate()), (0, 0));
    assert_eq!(results(&stand).await, (1, 0));
}

async fn a_worker_frozen_before_the_gate_links_nothing_when_thawed(parts: &RealParts) {
    let stand = cell::prepare(parts).await;
    let shim = Shim::compile();
    let (mut frozen, place) = frozen_after_the_conversion(&stand, &shim).await;
    assert_eq!(place, Place::Outside, "the link is yet to come");
    // It cannot know the permanent token that the frozen one holds: `conversion_unknown`.
    let successor = ended_by_a_successor(&stand).await;
    frozen.worker.thaw();
    notices(&frozen).await;
    assert_eq!((frozen.worker.terminate(), successor.terminate()), (0, 0));
    assert!(frozen.report.late_links().is_empty(), "no link left after the freeze");
    profiles(&stand, 0).await;
    assert_eq!(results(&stand).await, (0, 1));
}

/// By the ledger or by the group, whichever speaks first.
async fn notices(frozen: &Armed) {
    let noticed = eventually("the thawed worker notices", PATIENCE, async || {
        let log = frozen.worker.log();
        let told = log.contains("the lane was taken by another worker") || log.contains("\"lost\":true");
        told.then_some(())
    });
    noticed.await;
}

/// Aloha, whose second profile the books show: the sandbox's LoanPro refuses a title that is there already.
async fn publish(stand: &Stand<'_>) {
    let customer = stand.sandbox.create_aloha_customer().await;
    let token = stand.sandbox.tokenise(serde_json::json!({"kind": "card", "lastFour": "1111"})).await;
    stand.publish(&events::aloha(EVENT, &customer, "credit-call", &token)).await;
}

/// Of all that is sent to the vendors only a link is a PUT.
async fn frozen_before_the_link(stand: &Stand<'_>, shim: &Shim) -> (Armed, Place) {
    let class = Class { peer: Peer::Vendors, way: Way::Out, side: Side::Before, blow: Blow::Freeze };
    frozen(stand, shim, Stop { class, call: 1, begins: "PUT " }).await
}

/// The answer to the sign-in is the first that comes from the vendors, that of the conversion the second.
async fn frozen_after_the_conversion(stand: &Stand<'_>, shim: &Shim) -> (Armed, Place) {
    let class = Class { peer: Peer::Vendors, way: Way::In, side: Side::After, blow: Blow::Freeze };
    frozen(stand, shim, Stop { class, call: 2, begins: "" }).await
}

async fn frozen(stand: &Stand<'_>, shim: &Shim, stop: Stop) -> (Armed, Place) {
    publish(stand).await;
    let mut armed = shim.start(stand, &stop, 1);
    let place = armed.stops().await;
    (armed, place)
}

async fn ended_by_a_successor(stand: &Stand<'_>) -> Worker {
    let successor = stand.worker().await;
    let of = |record: &Record| is_result(&record.json());
    let mut reader = stand.reader(&[&stand.topics.linked, &stand.topics.rejected]);
    reader.read_until("the successor ends the event", PATIENCE, |seen| seen.iter().any(of)).await;
    successor
}

fn is_result(event: &Value) -> bool {
    event["causationid"] == EVENT
}

/// Waits until the books show so many profiles of the event.
async fn profiles(stand: &Stand<'_>, count: usize) {
    let made = eventually("the books show the profiles", PATIENCE, async || {
        let profiles = stand.sandbox.booked("profiles").await;
        let ours = profiles.iter().filter(|profile| profile["idempotencyKey"] == link_key(EVENT).as_str()).count();
        (ours >= count).then_some(ours)
    });
    assert_eq!(made.await, count);
}

/// How many are linked, and how many rejected.
async fn results(stand: &Stand<'_>) -> (usize, usize) {
    (stand.all(&stand.topics.linked).await.len(), stand.all(&stand.topics.rejected).await.len())
}
