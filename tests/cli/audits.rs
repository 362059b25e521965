//! `dlq audit` of more acts than are read at once.

use std::fmt::Write as _;

use profile_linker::domain::Secret;
use profile_linker::ledger::{self, Vault};
use serde_json::Value;
use sqlx::Connection;

use crate::bench::{Bench, Ended};

/// By two people in turns, so that each is a line for people too: more than a page of lines.
const IN_TURNS: usize = 1_100;
/// And these by one, for one reason, over the end of a page.
const IN_A_ROW: usize = 1_400;

/// A ledger in which so much was done, each act to a target that tells its number.
async fn busy() -> Bench {
    let bench = Bench::new();
    bench.file("k1.key", &(data_encoding::BASE64.encode(&[1; 32]) + "\n"));
    bench.file("worker.toml", "ledger.url = \"sqlite:ledger.db\"\n[keys]\nk1 = { file = \"k1.key\" }\n");
    let url = format!("sqlite://{}/ledger.db", bench.directory.path().display());
    let vault = Vault::new("k1", vec![("k1".to_owned(), Secret::new(vec![1; 32]))]).unwrap();
    ledger::migrate(&Secret::from(url.clone()), &vault).await.unwrap();
    let mut lines = String::new();
    for number in 0..IN_TURNS + IN_A_ROW {
        let who = if number >= IN_TURNS { "carl" } else { ["ada", "bob"][number % 2] };
        write!(lines, "{}('{who}', 'replay', 'target {number}')", if number == 0 { "" } else { ", " }).unwrap();
    }
    let mut file = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let insert = sqlx::AssertSqlSafe(format!("INSERT INTO audit (actor, act, target) VALUES {lines}"));
    sqlx::raw_sql(insert).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    bench
}

fn audit(bench: &Bench, arguments: &[&str]) -> Ended {
    let words: Vec<&str> =
        ["dlq", "audit"].iter().chain(arguments).chain(&["--config", "worker.toml"]).copied().collect();
    let ended = bench.run(&words);
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.err);
    ended
}

fn targets(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["target"].as_str()).collect()
}

#[tokio::test]
async fn an_audit_is_told_to_its_end_however_many_acts_there_are() {
    let bench = busy().await;
    let all: Vec<String> = (0..IN_TURNS + IN_A_ROW).map(|number| format!("target {number}")).collect();
    let lines = audit(&bench, &["--output", "json"]).lines();
    assert_eq!(targets(&lines), all);
    for limit in [0, 1, 999, 1_000, 1_001, 2_499, 2_500, 9_000] {
        let lines = audit(&bench, &["--limit", &limit.to_string(), "--output", "json"]).lines();
        assert_eq!(targets(&lines), all[all.len().saturating_sub(limit)..], "the latest {limit}, the earliest first");
    }
    let of_one = audit(&bench, &["--by", "carl", "--limit", "1200", "--output", "json"]).lines();
    assert_eq!(targets(&of_one), all[all.len() - 1_200..]);
}

#[tokio::test]
async fn for_people_an_audit_is_one_table_and_what_was_done_in_a_row_one_line_of_it() {
    let bench = busy().await;
    let told = audit(&bench, &[]).out;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 1 + IN_TURNS + 1);
    assert_eq!(lines.iter().filter(|line| line.starts_with("FROM")).count(), 1, "one head");
    assert!(lines[IN_TURNS + 1].contains("carl") && lines[IN_TURNS + 1].contains("1400 events"), "{:?}", lines.last());
}
