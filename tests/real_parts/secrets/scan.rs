//! The scan itself, on both ledgers.

use serde_json::json;

use super::load::Load;
use super::needles::Needles;
use super::sweep::{Sweep, is_log_of};
use crate::securely::secured;
use crate::support::admin::{Admin, TOKEN};
use crate::support::collector::Collector;
use crate::support::kafka::doors::LINKER;
use crate::support::parts::RealParts;
use crate::support::postgres::Postgres;
use crate::support::sandbox::{LOANPRO_TOKEN, PAYIQ_API_KEY};
use crate::support::stand::{Delivery, PATIENCE, Stand, Topics};
use crate::support::worker::Worker;

crate::cases! {
    no_secret_leaves_with_postgres_at_trace_level needs [Kafka, Postgres];
    no_secret_leaves_with_sqlite_at_trace_level needs [Kafka, Postgres];
    kafkas_password_is_in_no_log_whatever_the_client_tells needs [SecuredKafka, Kafka, Postgres];
}

/// What the stand's configuration holds besides.
pub const CREDENTIALS: [(&str, &str); 5] = [
    ("LoanPro's token", LOANPRO_TOKEN),
    ("PayIQ's API key", PAYIQ_API_KEY),
    ("PayIQ's signing key", "sandbox-signing-key"),
    ("Aloha's password", "sandbox-aloha-password"),
    ("the admin token", TOKEN),
];

/// Results before the worker is killed: some are linked, others are under way.
const BEFORE_THE_KILL: usize = 6;

async fn no_secret_leaves_with_postgres_at_trace_level(parts: &RealParts) {
    // Its own server, whose files hold nothing else, and whose log tells each statement with its values.
    let server = Postgres::start_talkative().expect("a server of its own");
    let stand = stand(parts, &server.create_database().await).await;
    let collector = Collector::start().await;
    let load = play(&stand, &collector).await;
    let mut sweep = Sweep::new(&load.needles);
    let places = everywhere(&stand, &collector, &load, &mut sweep).await;
    sweep.look("a dump of the ledger", &server.dump(&stand.ledger_url()));
    let folder = server.folder().expect("a folder of its own").to_owned();
    // A checkpoint writes what is in memory only.
    server.checkpoint().await;
    sweep.files("files of the database", &folder.join("data"), &|_| true);
    sweep.files("log of the database", &folder, &|path| path.ends_with("server.log"));
    let postgres = ["a dump of the ledger", "files of the database", "log of the database"];
    erased(&stand, &mut sweep).await;
    sweep.assert_clean(&[&places[..], &postgres[..]].concat());
}

async fn no_secret_leaves_with_sqlite_at_trace_level(parts: &RealParts) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("ledger.db").display());
    let stand = stand(parts, &url).await;
    let collector = Collector::start().await;
    let load = play(&stand, &collector).await;
    let mut sweep = Sweep::new(&load.needles);
    let places = everywhere(&stand, &collector, &load, &mut sweep).await;
    sweep.files("files of the ledger", folder.path(), &|_| true);
    erased(&stand, &mut sweep).await;
    sweep.assert_clean(&[&places[..], &["files of the ledger"][..]].concat());
}

/// At trace level, and with everything that the Kafka client can tell.
async fn stand<'a>(parts: &'a RealParts, ledger: &str) -> Stand<'a> {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    stand.amend(&stand.database, ledger);
    stand.amend("\"heartbeat.interval.ms\" = 1000", "\"heartbeat.interval.ms\" = 1000\n\"debug\" = \"all\"");
    let token = stand.file("admin-token", &format!("{TOKEN}\n"));
    stand.amend("listen = \"127.0.0.1:0\"", &format!("listen = \"127.0.0.1:0\"\ntoken_file = \"{}\"", token.display()));
    let migrated = stand.command(&["migrate", "--topics"]);
    assert!(migrated.status.success(), "migrate: {}", String::from_utf8_lossy(&migrated.stderr));
    stand
}

fn start(stand: &Stand<'_>, collector: &Collector) -> Worker {
    stand.start_worker_with(&[("RUST_LOG".to_owned(), "trace".to_owned()), collector.environment()])
}

async fn play(stand: &Stand<'_>, collector: &Collector) -> Load {
    let mut load = Load::new(&CREDENTIALS);
    let key = std::fs::read_to_string(stand.folder().join("k1")).expect("the sealing key");
    load.needles.add("the sealing key", key.trim_end());
    let first = start(stand, collector);
    load.ordinary(stand).await;
    let mut reader = stand.reader(&[&stand.topics.linked]);
    reader.read_until("some are linked", PATIENCE, |seen| seen.len() >= BEFORE_THE_KILL).await;
    first.kill();
    let second = start(stand, collector);
    load.ends(stand).await;
    load.refused(stand).await;
    load.lost(stand).await;
    load.ends(stand).await;
    assert_eq!(second.terminate(), 0);
    load.replay(stand).await;
    load
}

/// Everything but the ledger: what the last worker says, what every worker logged, what is in the topics, what commands print.
async fn everywhere(stand: &Stand<'_>, collector: &Collector, load: &Load, sweep: &mut Sweep<'_>) -> Vec<&'static str> {
    let mut last = start(stand, collector);
    last.ready().await;
    load.ends(stand).await;
    // The client does tell everything: how it speaks to the broker, request by request.
    assert!(last.log().contains("\"kafka.facility\":\"SEND\""), "the Kafka client's own lines are not in the log");
    sweep.process(last.pid());
    let admin = Admin::of(&last);
    sweep.admin(&admin).await;
    commands(stand, sweep, &["status", "--admin", &admin.url]);
    assert_eq!(last.terminate(), 0);
    for arguments in [&["check"][..], &["config"], &["migrate"], &["watch", "--from", "start", "--limit", "40"]] {
        commands(stand, sweep, arguments);
    }
    for arguments in [
        &["dlq", "list", "--state", "all"][..],
        &["dlq", "export", "--state", "all"],
        &["dlq", "stats"],
        &["dlq", "audit"],
        &["keys", "rotate", "--why", "a sweep"],
    ] {
        commands(stand, sweep, arguments);
    }
    for id in load.ids() {
        commands(stand, sweep, &["ledger", "show", id]);
        commands(stand, sweep, &["dlq", "show", "--event-id", id]);
    }
    refused_publication(stand, sweep);
    sweep.files("logs of the workers", stand.folder(), &|path| path.extension().is_some_and(|ending| ending == "log"));
    topics(stand, sweep).await;
    collector.bodies().iter().for_each(|body| sweep.look("traces", body));
    vec![
        "arguments",
        "environment",
        "metrics",
        "admin answers",
        "output of commands",
        "logs of the workers",
        "topics",
        "traces",
    ]
}

fn commands(stand: &Stand<'_>, sweep: &mut Sweep<'_>, arguments: &[&str]) {
    for output in ["text", "json"] {
        let trace = [("RUST_LOG".to_owned(), "trace".to_owned())];
        let ended = stand.command_with(&[arguments, &["--output", output]].concat(), &trace);
        sweep.look("output of commands", &ended.stdout);
        sweep.look("output of commands", &ended.stderr);
    }
}

/// At last, since it writes a file anew that was to be looked through. Results have their customer for a key.
async fn erased(stand: &Stand<'_>, sweep: &mut Sweep<'_>) {
    let linked = stand.all(&stand.topics.linked).await;
    let key = linked.iter().find_map(|record| record.key.clone()).expect("a result with its customer");
    let customer = format!("loanpro:{}", String::from_utf8_lossy(&key));
    commands(stand, sweep, &["ledger", "erase", "--customer", &customer, "--why", "a sweep", "--yes"]);
}

/// A file of events that cannot be published is told about without what is in it.
fn refused_publication(stand: &Stand<'_>, sweep: &mut Sweep<'_>) {
    let token = super::load::fresh();
    let mut own = super::needles::Needles::default();
    own.add("a token in a file", &token);
    let mut event = crate::support::events::temporary("unpublished", "1", &token);
    event["data"]["customer"]["id"] = json!(token);
    event["data"]["token"]["kind"] = json!(token);
    let file = stand.file("events.json", &event.to_string()).display().to_string();
    let ended = stand.command(&["publish", &file]);
    assert_eq!(ended.status.code(), Some(65));
    assert!(own.find(&[ended.stdout, ended.stderr.clone()].concat()).is_empty(), "the token is told");
    sweep.look("output of commands", &ended.stderr);
}

/// As a consumer reads them, and as the broker keeps them: with what was aborted, keys, headers, and the commits' metadata.
/// The input topic is its producers'.
async fn topics(stand: &Stand<'_>, sweep: &mut Sweep<'_>) {
    for topic in [&stand.topics.linked, &stand.topics.rejected, &stand.topics.dead_letter] {
        for record in stand.all(topic).await {
            let headers: Vec<u8> =
                record.headers.iter().flat_map(|(name, value)| [name.as_bytes(), value].concat()).collect();
            let parts = [record.key.unwrap_or_default(), record.value.unwrap_or_default(), headers];
            parts.iter().for_each(|part| sweep.look("topics", part));
        }
    }
    let Some(broker) = stand.kafka.as_java() else {
        eprintln!("the broker's files are out of reach: only what it hands out was looked through");
        return;
    };
    let Topics { linked, rejected, dead_letter, .. } = &stand.topics;
    let ours = [linked.as_str(), rejected, dead_letter, "__consumer_offsets", "__transaction_state"];
    sweep.files("topics", &broker.data(), &|path| is_log_of(path, &ours));
}

/// The client itself tells its settings and its log-in, request by request.
async fn kafkas_password_is_in_no_log_whatever_the_client_tells(parts: &RealParts) {
    let stand = stand(parts, &parts.postgres().create_database().await).await;
    let mut needles = Needles::default();
    needles.add("Kafka's password", LINKER.password);
    let mut sweep = Sweep::new(&needles);
    let doors = parts.secured_kafka().doors();
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let mut environment = secured(&stand, doors, mechanism, LINKER.password, &doors.ca_file());
        environment.push(("RUST_LOG".to_owned(), "trace".to_owned()));
        let mut worker = stand.start_worker_with(&environment);
        worker.ready().await;
        assert!(worker.log().contains(mechanism), "the client tells how it logs in");
        sweep.process(worker.pid());
        assert_eq!(worker.terminate(), 0);
        for command in ["check", "config"] {
            let ended = stand.command_with(&[command], &environment);
            sweep.look("output of commands", &[ended.stdout, ended.stderr].concat());
        }
    }
    sweep.files("logs of the workers", stand.folder(), &|path| path.extension().is_some_and(|ending| ending == "log"));
    sweep.assert_clean(&["output of commands", "logs of the workers", "environment"]);
}
