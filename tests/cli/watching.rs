//! `watch`: what it shows, from where, and of whom.

use std::io::{BufRead, BufReader};

use jiff::Timestamp;
use serde_json::Value;

use crate::bench::{Bench, Broker, Ended, LINKED, REJECTED, beside, linked, rejected};

async fn watch(bench: &Bench, broker: &Broker, arguments: &[&str]) -> Ended {
    let mut all = vec!["watch", "--output", "json"];
    all.extend(arguments);
    let mut command = bench.command(&all);
    command.envs(broker.variables());
    beside(command).await
}

fn ids(ended: &Ended) -> Vec<String> {
    let id = |line: &Value| line["event"]["data"]["created"]["id"].as_str().unwrap().to_owned();
    ended.lines().iter().map(id).collect()
}

/// Four results in one partition each: e1 and e3 linked, e2 and e4 rejected.
async fn four_results(broker: &Broker) {
    broker.publish(LINKED, "42", &linked("e1", "42")).await;
    broker.publish(REJECTED, "43", &rejected("e2", "43", "user_locked")).await;
    broker.publish_binary(LINKED, "43", &linked("e3", "43")).await;
    broker.publish_binary(REJECTED, "42", &rejected("e4", "42", "token_rejected")).await;
}

#[tokio::test]
async fn each_filter_shows_its_own_and_a_limit_ends() {
    let (bench, broker) = (Bench::new(), Broker::new(1));
    four_results(&broker).await;
    let cases: [(&[&str], &[&str]); 6] = [
        (&["--limit", "4"], &["e1", "e2", "e3", "e4"]),
        (&["--limit", "2", "--customer", "42"], &["e1", "e4"]),
        (&["--limit", "1", "--event-id", "e3"], &["e3"]),
        (&["--limit", "2", "--type", "rejected"], &["e2", "e4"]),
        (&["--limit", "2", "--type", "payments.profile-linked.v1"], &["e1", "e3"]),
        (&["--limit", "1", "--reason", "token_rejected"], &["e4"]),
    ];
    for (arguments, expected) in cases {
        let mut all = vec!["--from", "start"];
        all.extend(arguments);
        let ended = watch(&bench, &broker, &all).await;
        assert_eq!(ended.code, 0, "{}", ended.err);
        let mut seen = ids(&ended);
        seen.sort();
        assert_eq!(seen, expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_line_names_the_place_and_holds_one_cloud_event_whatever_the_mode() {
    let (bench, broker) = (Bench::new(), Broker::new(1));
    broker.publish_binary(LINKED, "42", &linked("e1", "42")).await;
    let ended = watch(&bench, &broker, &["--from", "start", "--limit", "1"]).await;
    let mut expected = linked("e1", "42");
    expected["datacontenttype"] = "application/json".into();
    let line = &ended.lines()[0];
    assert_eq!(line["event"], expected);
    assert_eq!((&line["topic"], &line["partition"], &line["offset"]), (&LINKED.into(), &0.into(), &0.into()));
    assert_eq!(line["key"], "42");
}

#[tokio::test]
async fn a_topic_whose_leader_is_being_elected_is_waited_for() {
    let (bench, broker) = (Bench::new(), Broker::new(1));
    broker.publish(LINKED, "42", &linked("e1", "42")).await;
    broker.elect_leaders();
    let ended = watch(&bench, &broker, &["--from", "start", "--limit", "1"]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(ids(&ended), ["e1"]);
}

#[tokio::test]
async fn back_counts_records_in_each_partition() {
    let (bench, broker) = (Bench::new(), Broker::new(1));
    four_results(&broker).await;
    let ended = watch(&bench, &broker, &["--from", "-1", "--limit", "2"]).await;
    let mut seen = ids(&ended);
    seen.sort();
    assert_eq!(seen, ["e3", "e4"]);
}

#[tokio::test]
async fn a_time_is_found_by_scanning_where_the_broker_cannot_look_it_up() {
    let (bench, broker) = (Bench::new(), Broker::new(1));
    let now = Timestamp::now().as_millisecond();
    broker.publish_at(LINKED, "42", &linked("old", "42"), now - 3_600_000).await;
    broker.publish_at(LINKED, "42", &linked("new", "42"), now).await;
    bench.leave_connection(&broker.address, std::process::id());
    let command = bench.command(&["watch", "--from", "@30m", "--limit", "1", "--output", "json"]);
    let ended = beside(command).await;
    assert_eq!(ids(&ended), ["new"], "{}", ended.err);
}

#[tokio::test]
async fn text_is_one_readable_line_without_colours_in_a_pipe_and_without_control_characters() {
    let (bench, broker) = (Bench::new(), Broker::new(1));
    let mut event = rejected("e1", "42", "token_rejected");
    event["data"]["reason"]["detail"] = "no\u{1b}[2J\u{7}\nway".into();
    broker.publish(REJECTED, "42", &event).await;
    let mut command = bench.command(&["watch", "--from", "start", "--limit", "1"]);
    command.envs(broker.variables());
    let ended = beside(command).await;
    assert_eq!(ended.out.lines().count(), 1, "{:?}", ended.out);
    assert!(ended.out.starts_with("03:04:05 rejected loanpro/42 e1: token_rejected (convert): no"), "{:?}", ended.out);
    assert!(!ended.out.trim_end().chars().any(char::is_control), "{:?}", ended.out);
}

#[tokio::test]
async fn new_results_are_seen_from_the_moment_it_says_that_it_watches() {
    let (bench, broker) = (Bench::new(), Broker::new(3));
    broker.publish(LINKED, "1", &linked("before", "1")).await;
    let mut command = bench.command(&["watch", "--limit", "1"]);
    command.envs(broker.variables());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("watching "), "{said}");
    broker.publish(LINKED, "1", &linked("after", "1")).await;
    let ended = tokio::task::spawn_blocking(move || Ended::of(child.wait_with_output().unwrap())).await.unwrap();
    assert!(ended.out.contains(" after: "), "{}", ended.out);
}

#[test]
fn the_connection_file_of_a_dev_that_has_ended_is_told_about_and_ignored() {
    let bench = Bench::new();
    // Beyond the largest process id that Linux gives.
    bench.leave_connection("127.0.0.1:1", 4_194_305);
    let mut child = bench.command(&["watch"]).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains("has ended") && said.contains("4194305"), "{said}");
}

#[cfg(unix)]
#[tokio::test]
async fn an_interrupt_is_exit_130() {
    let (bench, broker) = (Bench::new(), Broker::new(1));
    let mut command = bench.command(&["watch"]);
    command.envs(broker.variables());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(130));
}
