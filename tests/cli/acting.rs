//! Commands that change many dead letters, and how they end early: a reader that goes, a signal, a ledger that fails. And what is
//! told of many, of who acts, and of any time that is asked for.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};

use profile_linker::domain::{Lane, PublishSeq, ReasonCode, Secret};
use profile_linker::ledger::{self, AcceptLane, Vault};
use serde_json::{Value, json};
use sqlx::Connection;

use crate::bench::{Bench, Ended};
use crate::dead_letters::{ended, new_row};
use crate::letters::{Letter, Letters};

/// What is told of so many is several times what a pipe holds: a command cannot be through before somebody reads.
const MANY: i64 = 3000;
/// Of one write.
const BATCH: usize = 200;

/// A bench with a ledger of so many dead letters, `e1` and so on.
pub async fn of_many(count: i64) -> Bench {
    let bench = Bench::new();
    bench.file("k1.key", &(data_encoding::BASE64.encode(&[1; 32]) + "\n"));
    bench.file("worker.toml", "ledger.url = \"sqlite:ledger.db\"\n[keys]\nk1 = { file = \"k1.key\" }\n");
    let url = Secret::from(url(&bench));
    let vault = Vault::new("k1", vec![("k1".to_owned(), Secret::new(vec![1; 32]))]).unwrap();
    ledger::migrate(&url, &vault).await.unwrap();
    let ledger = ledger::open(&url).await.unwrap();
    let claim = ledger.raise("worker", &[Lane(0)]).await.unwrap()[0].claim;
    let rows: Vec<_> = (1..=count).map(|number| new_row(&format!("e{number}"), number, &vault)).collect();
    let ends: Vec<_> = (1..).zip(&rows).map(|(number, row)| ended(row, number, ReasonCode::LinkUnknown)).collect();
    let accept = AcceptLane { claim, position: count + 1, first_seq: PublishSeq(1) };
    ledger.accept(&[accept], &rows).await.unwrap();
    ledger.end(&[claim], &ends).await.unwrap();
    bench
}

fn url(bench: &Bench) -> String {
    format!("sqlite://{}/ledger.db", bench.directory.path().display())
}

pub fn command(bench: &Bench, words: &[&str]) -> Command {
    bench.command(&[&["dlq"], words, &["--config", "worker.toml"]].concat())
}

fn dlq(bench: &Bench, words: &[&str]) -> Ended {
    Ended::of(command(bench, words).output().unwrap())
}

fn as_json(bench: &Bench, words: &[&str]) -> Vec<Value> {
    let ended = dlq(bench, &[words, &["--output", "json"]].concat());
    assert_eq!(ended.code, 0, "{words:?}: {ended:?}");
    ended.lines()
}

/// A command whose first line was read.
fn begun(bench: &Bench, words: &[&str]) -> (Child, impl BufRead) {
    let mut child = command(bench, &[words, &["--output", "json"]].concat()).spawn().unwrap();
    let mut out = BufReader::with_capacity(1, child.stdout.take().unwrap());
    assert!(out.read_line(&mut String::new()).unwrap() > 0);
    (child, out)
}

fn end(mut child: Child) -> (Option<i32>, String) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

/// The ledger's clock was put back since.
#[tokio::test]
async fn dead_letters_that_are_from_after_now_are_replayed_with_the_others() {
    let bench = of_many(3).await;
    let mut file = sqlx::SqliteConnection::connect(&url(&bench)).await.unwrap();
    let ahead = "UPDATE dead_letter SET dead_lettered_at = dead_lettered_at + 3600000 WHERE id <> 'e1'";
    sqlx::raw_sql(ahead).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    let told = as_json(&bench, &["replay", "--all", "--rate", "60000/s"]);
    assert_eq!(told.last().unwrap()["replayed"], 3, "{told:?}");
}

#[tokio::test]
async fn a_reader_that_goes_ends_a_change_with_1_and_the_same_command_goes_on() {
    let bench = of_many(MANY).await;
    for (words, done) in [
        (&["discard", "--all"][..], "discarded"),
        (&["restore", "--all"], "restored"),
        (&["replay", "--all", "--rate", "60000/s"], "replayed"),
    ] {
        let (child, out) = begun(&bench, words);
        drop(out);
        let (code, said) = end(child);
        assert_eq!(code, Some(1), "{words:?}: {said}");
        assert!(said.contains("not all may be done") && said.contains("start the same command again"), "{said}");
        let rest = as_json(&bench, words).pop().unwrap();
        let rest = rest[done].as_i64().unwrap();
        assert!(0 < rest && rest < MANY, "{words:?}: {rest} were left");
    }
    let acts = as_json(&bench, &["audit"]);
    assert_eq!(acts.len() as i64, 3 * MANY, "each once");
}

#[tokio::test]
async fn a_reader_that_goes_has_seen_enough_of_what_is_only_shown() {
    let bench = of_many(MANY).await;
    for words in [&["list"][..], &["export"], &["replay", "--dry-run"]] {
        let (child, out) = begun(&bench, words);
        drop(out);
        let (code, said) = end(child);
        assert_eq!(code, Some(0), "{words:?}: {said}");
        assert!(!said.contains("error"), "{said}");
    }
}

#[tokio::test]
async fn a_signal_ends_an_act_between_two_writes_and_the_last_line_tells_how_many() {
    let bench = of_many(MANY).await;
    let mut so_far = 0;
    for signal in ["-INT", "-TERM"] {
        let (child, out) = begun(&bench, &["discard", "--all"]);
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        assert_eq!(end(child).0, Some(130), "{signal}");
        let told = lines.len();
        assert_eq!(lines.last(), Some(&json!({"discarded": told, "skipped": 0})), "one line was read before");
        assert!(told.is_multiple_of(BATCH) && told < usize::try_from(MANY).unwrap(), "whole writes, not all: {told}");
        so_far += told;
    }
    assert_eq!(as_json(&bench, &["list", "--state", "discarded"]).len(), so_far);
    assert_eq!(as_json(&bench, &["audit"]).len(), so_far);
}

#[tokio::test]
async fn a_ledger_that_fails_half_way_is_told_behind_what_was_done() {
    let bench = of_many(450).await;
    let mut file = sqlx::SqliteConnection::connect(&url(&bench)).await.unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit WHEN (SELECT count(*) FROM audit) >= 250
        BEGIN SELECT RAISE(ABORT, 'no more'); END";
    sqlx::raw_sql(full).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    let failed = dlq(&bench, &["discard", "--all", "--output", "json"]);
    assert_ne!(failed.code, 0, "{}", failed.err);
    assert!(failed.err.contains("error: ") && failed.err.contains("goes on where it ended"), "{}", failed.err);
    let lines = failed.lines();
    assert_eq!(lines.len(), BATCH + 1);
    assert_eq!(lines.last(), Some(&json!({"discarded": BATCH, "skipped": 0})));
    let text = dlq(&bench, &["discard", "--all"]);
    assert!(text.out.ends_with("discarded 0, skipped 0\n"), "{text:?}");
}

#[tokio::test]
async fn whoever_acts_is_told_from_others_also_where_the_environment_names_nobody() {
    let bench = of_many(1).await;
    let numbered = format!("uid {}", rustix::process::getuid().as_raw());
    for (variables, who) in [
        (&[("USER", "ada"), ("LOGNAME", "bob")][..], "ada"),
        (&[("USER", ""), ("LOGNAME", "bob")], "bob"),
        (&[("LOGNAME", " ")], &numbered),
        (&[], &numbered),
    ] {
        for act in ["discard", "restore"] {
            let mut command = command(&bench, &[act, "e1"]);
            command.envs(variables.iter().copied());
            assert_eq!(Ended::of(command.output().unwrap()).code, 0);
            let last = as_json(&bench, &["audit", "--limit", "1"]).pop().unwrap();
            assert_eq!((&last["actor"], &last["act"]), (&json!(who), &json!(act)), "{variables:?}");
        }
    }
    assert_eq!(dlq(&bench, &["discard", "e1", "--by", ""]).code, 2, "nobody is no name");
}

#[tokio::test]
async fn a_restore_says_why_in_the_audit_as_a_discard_does() {
    let bench = of_many(1).await;
    for act in ["discard", "restore"] {
        as_json(&bench, &[act, "e1", "--why", "a test"]);
        let last = as_json(&bench, &["audit", "--limit", "1"]).pop().unwrap();
        assert_eq!((&last["act"], &last["why"]), (&json!(act), &json!("a test")));
    }
}

#[tokio::test]
async fn a_show_of_a_selection_says_that_there_are_more_than_it_shows() {
    let bench = of_many(21).await;
    for output in ["json", "text"] {
        let many = dlq(&bench, &["show", "--reason", "link_unknown", "--output", output]);
        assert!(many.err.contains("only the first 20 are shown"), "{output}: {}", many.err);
        assert!(many.err.contains("dlq list --state all"), "{output}: {}", many.err);
    }
    assert_eq!(as_json(&bench, &["show", "--reason", "link_unknown"]).len(), 20);
    as_json(&bench, &["discard", "e1"]);
    let twenty = dlq(&bench, &["show", "--reason", "link_unknown", "--state", "open", "--output", "json"]);
    assert_eq!((twenty.lines().len(), twenty.err.as_str()), (20, ""), "these are all");
}

#[tokio::test]
async fn for_people_stats_tell_how_many_are_being_replayed() {
    let bench = of_many(5).await;
    assert!(!dlq(&bench, &["stats"]).out.contains("replayed"));
    let before = as_json(&bench, &["stats"]);
    as_json(&bench, &["replay", "--limit", "2"]);
    let told = dlq(&bench, &["stats"]).out;
    assert!(told.ends_with("\n2 of these 5 are being replayed now\n"), "{told}");
    as_json(&bench, &["replay"]);
    assert!(dlq(&bench, &["stats"]).out.ends_with("\n5 of these 5 are being replayed now\n"));
    assert!(!dlq(&bench, &["stats", "--state", "replaying"]).out.contains("of these"), "that was asked for");
    let after = as_json(&bench, &["stats"]);
    let counts = |lines: &[Value]| lines.iter().map(|line| line["count"].clone()).collect::<Vec<_>>();
    assert_eq!(counts(&after), counts(&before), "for scripts they are what they were");
}

/// Earlier than any, and later.
const TIMES: [&str; 5] =
    ["3000000d", "99999999999d", "-009998-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "9999-12-30T00:00:00Z"];

#[tokio::test(flavor = "multi_thread")]
async fn any_time_may_be_asked_for() {
    let (bench, letters) = (of_many(1).await, Letters::new(1).await);
    letters.publish(&Letter::of("a", 0, 1)).await;
    for time in TIMES {
        let is_late = time.starts_with("9999-");
        for (edge, found) in [("--since", usize::from(!is_late)), ("--until", usize::from(is_late))] {
            let edge = format!("{edge}={time}");
            let from_topic = letters.dlq(&["list", "--from-topic", &edge, "--output", "json"]).await;
            assert_eq!((from_topic.code, from_topic.lines().len()), (0, found), "{edge}: {from_topic:?}");
            assert_eq!(as_json(&bench, &["list", &edge]).len(), found, "{edge}");
            as_json(&bench, &["audit", &edge]);
            let would = as_json(&bench, &["replay", "--dry-run", &edge]);
            assert_eq!(would[0]["wouldReplay"].as_object().unwrap().len(), found, "{edge}");
        }
    }
    let refused = dlq(&bench, &["list", "--since", "99999999999999999999d"]);
    assert!(refused.code == 2 && refused.err.contains("'99999999999999999999d'"), "{refused:?}");
}
