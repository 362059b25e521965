//! A flood that an operator knows and lets go by: resumed with raised limits, which hold until they are taken back.

use serde_json::Value;

use crate::support::admin::{Admin, TOKEN, with_token};
use crate::support::parts::RealParts;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    a_flood_goes_on_up_to_the_limit_that_was_resumed_with_also_after_a_restart needs [Kafka, Postgres];
}

/// As the workers are configured.
const RUN: usize = 5;
/// As an operator lets it go on.
const RAISED: usize = 30;

async fn a_flood_goes_on_up_to_the_limit_that_was_resumed_with_also_after_a_restart(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let (first, admin) = worker(&stand).await;
    flood(&stand, RUN).await;
    assert_paused(&admin, "5 dead letters in a row").await;
    let intake = resume(&stand, &admin, &["--limit", "30", "--why", "the batch of Tuesday"]);
    let told = "resumed by ada with the flood guard's limit 30: the batch of Tuesday";
    assert_eq!((intake["status"].as_str(), intake["reason"].as_str()), (Some("ok"), Some(told)), "{intake}");
    assert_eq!(first.terminate(), 0);
    let (second, admin) = worker(&stand).await;
    flood(&stand, RAISED - 1).await;
    let body = admin.get("/readyz").await.json();
    assert_eq!(body["checks"]["intake"]["status"], "ok", "one less than the limit: {body}");
    assert_eq!(body["checks"]["intake"]["reason"], told, "a restart does not forget them: {body}");
    assert!(second.log().contains("the flood guard has other limits than the configured ones"));
    flood(&stand, 1).await;
    assert_paused(&admin, "30 dead letters in a row").await;
    let intake = resume(&stand, &admin, &[]);
    assert_eq!((intake["status"].as_str(), intake["reason"].as_str()), (Some("ok"), Some("")), "{intake}");
    flood(&stand, RUN).await;
    assert_paused(&admin, "5 dead letters in a row").await;
    assert_eq!(second.terminate(), 0);
}

async fn worker(stand: &Stand<'_>) -> (Worker, Admin) {
    let [token] = with_token();
    let run = ("PROFILE_LINKER_DEAD_LETTERS__PAUSE_AFTER_RUN".to_owned(), RUN.to_string());
    let mut worker = stand.start_worker_with(&[token, run]);
    worker.ready().await;
    let admin = Admin::of(&worker);
    (worker, admin)
}

/// So many bad records more, and their dead letters.
async fn flood(stand: &Stand<'_>, count: usize) {
    let before = stand.all(&stand.topics.dead_letter).await.len();
    for number in 0..count {
        stand.publish_bytes(&format!("key {number}"), b"not an event").await;
    }
    let mut reader = stand.reader(&[&stand.topics.dead_letter]);
    reader.read_until("each has its dead letter", PATIENCE, |seen| seen.len() >= before + count).await;
}

async fn assert_paused(admin: &Admin, why: &str) {
    let body = admin.until("intake", "paused").await;
    assert_eq!(body["checks"]["intake"]["reason"], format!("paused by the flood guard: {why}"), "{body}");
}

/// By the command; answers the intake as it is then.
fn resume(stand: &Stand<'_>, admin: &Admin, arguments: &[&str]) -> Value {
    let token = stand.file("admin-token", TOKEN);
    let token = token.to_str().expect("a path of text");
    let command = ["intake", "resume", "--output", "json", "--admin", &admin.url, "--token-file", token];
    let user = [("USER".to_owned(), "ada".to_owned())];
    let resumed = stand.command_with(&[&command, arguments].concat(), &user);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    let answer: Value = serde_json::from_slice(&resumed.stdout).expect("a line of JSON");
    answer["intake"].clone()
}
