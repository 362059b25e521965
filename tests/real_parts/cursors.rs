//! Committed positions whose cursor is spoilt: expired, reset, damaged, foreign, of a newer format. Each has a fallback, and
//! one warning a lane says so, once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::positions::Positions;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    where_the_position_expired_the_ledgers_own_takes_its_place needs [Kafka, Postgres];
    a_position_that_was_reset_to_the_start_repeats_nothing needs [Kafka, Postgres];
    a_damaged_cursor_gives_way_to_the_saved_one needs [Kafka, Postgres];
    a_cursor_of_a_newer_format_gives_way_to_the_saved_one needs [Kafka, Postgres];
    a_cursor_of_another_ledger_is_refused_and_adopted_with_one_warning_a_lane needs [Kafka, Postgres];
}

/// Of as many customers: enough for every lane to have some.
const EVENTS: usize = 40;
/// Published while no worker runs.
const LATER: usize = 12;

async fn where_the_position_expired_the_ledgers_own_takes_its_place(parts: &RealParts) {
    let scene = Scene::set(parts).await;
    scene.stand.kafka.delete_group(&scene.stand.group).await;
    assert!(scene.commits().is_empty(), "the positions are gone");
    scene.goes_on(&[], "no position is committed").await;
}

/// As `kafka-consumer-groups --reset-offsets --to-earliest` does: every record is read again.
async fn a_position_that_was_reset_to_the_start_repeats_nothing(parts: &RealParts) {
    let scene = Scene::set(parts).await;
    scene.lanes.keys().for_each(|partition| scene.stand.commit_by_hand(*partition, 0));
    scene.goes_on(&[], "carries no cursor of ours").await;
}

async fn a_damaged_cursor_gives_way_to_the_saved_one(parts: &RealParts) {
    let scene = Scene::set(parts).await;
    scene.spoil(|ours| format!("{}x", &ours[..ours.len() - 1]));
    scene.goes_on(&[], "carries no cursor of ours").await;
}

async fn a_cursor_of_a_newer_format_gives_way_to_the_saved_one(parts: &RealParts) {
    let scene = Scene::set(parts).await;
    scene.spoil(|_| "pl9:whatever:they:say".to_owned());
    scene.goes_on(&[], "carries no cursor of ours").await;
}

async fn a_cursor_of_another_ledger_is_refused_and_adopted_with_one_warning_a_lane(parts: &RealParts) {
    let scene = Scene::set(parts).await;
    scene.spoil(|_| "pl1:0123456789abcdef:1000".to_owned());
    let mut refused = scene.stand.start_worker();
    assert_eq!(refused.exit_code(), 78);
    assert!(refused.log().contains("--adopt-ledger"), "it says what to do: {}", refused.log());
    scene.goes_on(&["--adopt-ledger"], "another ledger's position is adopted").await;
}

/// Events that are linked, and later ones that nobody has taken in yet; no worker runs.
struct Scene<'a> {
    stand: Stand<'a>,
    /// Each partition's commit.
    lanes: BTreeMap<i32, (i64, String)>,
}

impl<'a> Scene<'a> {
    async fn set(parts: &'a RealParts) -> Self {
        let mut scene =
            Self { stand: Stand::prepare(parts, Delivery::Transactional).await, lanes: BTreeMap::default() };
        let worker = scene.stand.worker().await;
        scene.publish("early", EVENTS).await;
        scene.results(EVENTS).await;
        assert_eq!(worker.terminate(), 0);
        scene.lanes = scene.commits();
        assert!(scene.lanes.len() > 1, "several lanes have a position: {:?}", scene.lanes);
        scene.publish("later", LATER).await;
        scene
    }

    fn commits(&self) -> BTreeMap<i32, (i64, String)> {
        Positions::of(self.stand.kafka.brokers(), &self.stand.group, &self.stand.topics.created, 6).commits()
    }

    /// Rewrites each commit's metadata; the positions stay.
    fn spoil(&self, text: impl Fn(&str) -> String) {
        for (partition, (offset, ours)) in &self.lanes {
            self.stand.commit_by_hand_saying(*partition, *offset, &text(ours));
        }
    }

    /// A worker goes on, warns once a lane, and leaves commits that the next one has nothing to say about.
    async fn goes_on(&self, arguments: &[&str], warning: &str) {
        let mut worker = self.stand.start_worker_saying(arguments, &[]);
        worker.ready().await;
        let results = self.results(EVENTS + LATER).await;
        self.mended().await;
        let warned = warned(&worker, warning);
        assert_eq!(worker.terminate(), 0);
        assert_eq!(warned, self.lanes.keys().map(|lane| i64::from(*lane)).collect::<Vec<_>>(), "one warning a lane");
        let causes: BTreeSet<&str> = results.iter().map(cause).collect();
        assert_eq!((results.len(), causes.len()), (EVENTS + LATER, EVENTS + LATER), "each has one result");
        assert_eq!(self.stand.sandbox.booked("profiles").await.len(), EVENTS + LATER, "each has one profile");
        let next = self.stand.worker().await;
        self.publish("last", 1).await;
        assert_eq!(self.results(EVENTS + LATER + 1).await.len(), EVENTS + LATER + 1);
        assert!(self::warned(&next, warning).is_empty(), "it is said once");
        assert_eq!(next.terminate(), 0);
    }

    /// Waits until every lane's commit carries a cursor of ours again.
    async fn mended(&self) {
        let ours: String = self.lanes.values().next().expect("a lane").1.chars().take("pl1:".len() + 16).collect();
        let mended = eventually("each commit carries our cursor", PATIENCE, async || {
            let commits = self.commits();
            self.lanes.keys().all(|lane| commits.get(lane).is_some_and(|one| one.1.starts_with(&ours))).then_some(())
        });
        mended.await;
    }

    async fn publish(&self, name: &str, count: usize) {
        let token = self.stand.sandbox.permanent_token().await;
        for number in 0..count {
            let customer = self.stand.sandbox.create_customer().await;
            self.stand.publish(&events::permanent(&format!("{name}-{number}"), &customer, &token)).await;
        }
    }

    /// Everything that is linked, once there is so much of it.
    async fn results(&self, count: usize) -> Vec<Value> {
        let mut reader = self.stand.reader(&[&self.stand.topics.linked]);
        reader.read_until(&format!("{count} results"), PATIENCE, |seen| seen.len() >= count).await;
        self.stand.all(&self.stand.topics.linked).await.iter().map(Record::json).collect()
    }
}

/// Partitions of the lines of level WARN that have these words, ascending.
fn warned(worker: &Worker, words: &str) -> Vec<i64> {
    let log = worker.log();
    let lines = log.lines().filter(|line| line.contains(words) && line.contains("\"WARN\""));
    let mut partitions: Vec<i64> = lines
        .map(|line| serde_json::from_str::<Value>(line).expect("log lines are JSON"))
        .map(|line| line["kafka.partition"].as_i64().or_else(|| line["fields"]["kafka.partition"].as_i64()))
        .map(|partition| partition.expect("it names its partition"))
        .collect();
    partitions.sort_unstable();
    partitions
}

fn cause(result: &Value) -> &str {
    result["causationid"].as_str().expect("a result names its input")
}
