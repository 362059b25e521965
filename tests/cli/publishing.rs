//! `publish`: all or nothing, and what `--wait` waits for.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rdkafka::message::{Headers, Message};

use crate::bench::{Bench, Broker, CREATED, LINKED, REJECTED, beside, created, linked, rejected, text};

const TOKEN: &str = "opaque-token-of-the-test";

#[test]
fn an_input_file_that_is_not_there_is_exit_66() {
    let ended = Bench::new().run(&["publish", "nowhere.json"]);
    assert_eq!(ended.code, 66);
    assert!(ended.err.contains("nowhere.json"), "{}", ended.err);
}

/// Input, and what must be said of it. No broker is named, so that these also show that none is asked.
#[test]
fn bad_events_are_exit_65_with_line_and_pointer() {
    let good = created("e1", "42").to_string();
    let bad = good.replace("\"42\"", "\"forty-two\"");
    let worse = good.replace("loanpro", "lonepro").replace("temporary", "tempting");
    let cases = [
        (format!("{good}\n{bad}\n"), vec!["2 events", "standard input:2 /data/customer/id: "]),
        (
            format!("\n\n{worse}\n{good}\n{bad}"),
            vec![
                "2 of 3 events",
                "standard input:3 /data/customer/system: ",
                "standard input:3 /data/token/kind: ",
                "standard input:5 /data/customer/id: ",
            ],
        ),
        (format!("[{good},\n{bad}]"), vec!["standard input:1 (item 2) /data/customer/id: "]),
        (
            format!("{good}\nnonsense\n{good}\n{{"),
            vec!["2 lines are not JSON", "standard input:2:", "standard input:4:"],
        ),
        ("{\n  \"specversion\": 1.0,\n  oops\n}".to_owned(), vec!["not JSON", "standard input:3:"]),
        (String::new(), vec!["no event in the input", "to do: one event is one JSON object"]),
        ("17".to_owned(), vec!["standard input:1: must be an object"]),
        (good.replace(TOKEN, "4111111111111111"), vec!["standard input:1 /data/token/value: ", "card_number_detected"]),
        (good.replace("e1", "4111111111111111"), vec!["standard input:1 /id: ", "card_number_detected"]),
        (
            good.replace("\"specversion\"", "\"4111111111111111\":1,\"specversion\""),
            vec!["input:1: a card number in an extra"],
        ),
        (good.replace("\"specversion\"", "\"n\":1e999,\"specversion\""), vec!["standard input:1:", "a number beyond"]),
        (
            good.replace("\"specversion\"", "\"id\":\"e0\",\"specversion\""),
            vec!["standard input:1: an object names a member twice", "malformed_event"],
        ),
        (
            format!("{good}\n{}\n{}\n", good.replace("42", "43"), good.replace("42", "44")),
            vec!["2 of 3 events", "input:2 /id: the same source and id as standard input:1", "input:3 /id: the same"],
        ),
    ];
    let bench = Bench::new();
    for (input, said) in cases {
        let ended = bench.run_fed(&["publish"], &input);
        assert_eq!(ended.code, 65, "{input}: {ended:?}");
        assert!(!ended.err.contains(TOKEN) && !ended.err.contains("4111"), "{}", ended.err);
        for one in said {
            assert!(ended.err.contains(one), "{input}: no {one:?} in {}", ended.err);
        }
    }
}

#[test]
fn an_input_that_is_not_utf_8_is_exit_65_with_its_line_and_what_to_do() {
    let bench = Bench::new();
    let file = bench.directory.path().join("latin1.json");
    std::fs::write(&file, b"{}\n{\"name\":\"J\xf6rg\"}").unwrap();
    let ended = bench.run(&["publish", "latin1.json"]);
    assert_eq!(ended.code, 65, "{ended:?}");
    assert!(ended.err.contains("latin1.json:2") && ended.err.contains("to do: convert it"), "{}", ended.err);
}

/// The lines before each event were once counted anew, and every bad one was kept: minutes, and gigabytes.
#[test]
fn a_large_input_of_bad_events_is_checked_in_no_time_and_told_shortly() {
    let (bench, begun) = (Bench::new(), Instant::now());
    let (bad, broken) = (format!("{{\"a\":\"{}\"}}\n", "x".repeat(1000)), "{\"a\":\n".to_owned());
    let lines = 20_000;
    for (input, more) in [(bad.repeat(lines), 5 * lines - 20), (format!("{{}}\n{}", broken.repeat(lines)), lines - 20)]
    {
        let ended = bench.run_fed(&["publish"], &input);
        assert_eq!(ended.code, 65);
        assert_eq!(ended.err.lines().filter(|line| line.contains("standard input:")).count(), 20, "{}", ended.err);
        assert!(ended.err.contains(&format!("and {more} more")), "{}", ended.err);
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_same_event_twice_in_one_input_is_a_harmless_duplicate() {
    let (bench, broker) = (Bench::new(), Broker::new(1));
    let mut again = created("e1", "42");
    again["time"] = "2026-01-01T00:00:00Z".into();
    let file = bench.file("twice.ndjson", &format!("{}\n{again}\n", created("e1", "42")));
    let mut command = bench.command(&["publish", text(&file), "--output", "json"]);
    command.envs(broker.variables());
    let ended = beside(command).await;
    assert_eq!((ended.code, ended.lines().len()), (0, 2), "{}", ended.err);
}

#[tokio::test]
async fn nothing_is_published_if_one_event_is_bad_and_everything_if_none_is() {
    let (bench, broker) = (Bench::new(), Broker::new(3));
    let (first, second) = (created("e1", "42").to_string(), created("e2", "43").to_string());
    let bad = bench.file("bad.ndjson", &format!("{first}\n{}\n", second.replace("\"43\"", "0")));
    let good = bench.file("good.ndjson", &format!("{first}\n{second}\n"));
    let mut command = bench.command(&["publish", text(&bad)]);
    command.envs(broker.variables());
    assert_eq!(beside(command).await.code, 65);

    let mut command = bench.command(&["publish", text(&good), "--output", "json"]);
    command.envs(broker.variables());
    let ended = beside(command).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let lines = ended.lines();
    assert_eq!((&lines[0]["event"]["id"], &lines[0]["key"]), (&"e1".into(), &"42".into()));
    assert_eq!(lines[0]["event"]["data"]["token"]["value"], "[redacted]");
    assert!(!ended.out.contains(TOKEN));

    let consumer = broker.consumer(CREATED);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let message = consumer.recv().await.unwrap().detach();
        assert_eq!(message.headers().unwrap().get(0).key, "content-type");
        seen.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
    }
    seen.sort();
    assert_eq!(seen, [first, second], "published byte for byte, and only the good file");
}

/// An Aloha event of this customer.
fn of_aloha(id: &str, customer: &str) -> String {
    let mut event = created(id, customer);
    event["data"]["customer"]["system"] = "aloha".into();
    event["data"]["provider"] = "credit-call".into();
    event["data"]["account"] = serde_json::json!({
        "kind": "card", "brand": "visa", "expiration": "09/31", "maskedNumber": "411111******1111",
    });
    event.to_string()
}

#[tokio::test]
async fn two_spellings_of_a_guid_are_published_under_one_key() {
    let (bench, broker) = (Bench::new(), Broker::new(8));
    let guid = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
    let events = format!("{}\n{}\n", of_aloha("e1", guid), of_aloha("e2", &guid.to_uppercase()));
    let file = bench.file("guids.ndjson", &events);
    let mut command = bench.command(&["publish", text(&file), "--output", "json"]);
    command.envs(broker.variables());
    let ended = beside(command).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let places: Vec<(serde_json::Value, serde_json::Value)> =
        ended.lines().iter().map(|line| (line["key"].clone(), line["partition"].clone())).collect();
    assert_eq!(places[0].0, guid);
    assert_eq!(places[0], places[1], "one customer, one key, one partition");
    let sent: Vec<serde_json::Value> =
        ended.lines().iter().map(|line| line["event"]["data"]["customer"]["id"].clone()).collect();
    assert_eq!(sent, [guid.to_owned(), guid.to_uppercase()], "the events themselves are sent as they are");
}

#[tokio::test]
async fn waiting_prints_each_result_and_exits_1_if_one_was_rejected() {
    let (bench, broker) = (Bench::new(), Broker::new(2));
    // Results from before must not be taken for the ones that are waited for.
    broker.publish(REJECTED, "42", &rejected("e1", "42", "user_locked")).await;
    let input = bench.file("two.json", &format!("{}{}", created("e1", "42"), created("e2", "43")));
    let mut command = bench.command(&["publish", text(&input), "--wait", "--output", "json"]);
    command.envs(broker.variables());
    let answering = async {
        let consumer = broker.consumer(CREATED);
        for _ in 0..2 {
            let message = consumer.recv().await.unwrap().detach();
            let event: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            match event["id"].as_str().unwrap() {
                "e1" => broker.publish(LINKED, "42", &linked("e1", "42")).await,
                _ => broker.publish_binary(REJECTED, "43", &rejected("e2", "43", "token_rejected")).await,
            }
        }
    };
    let (ended, ()) = tokio::join!(beside(command), answering);
    assert_eq!(ended.code, 1, "{}", ended.err);
    let mut kinds: Vec<String> =
        ended.lines().iter().map(|line| line["event"]["type"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    assert_eq!(kinds, ["payments.profile-linked.v1", "payments.profile-rejected.v1"]);
}

#[tokio::test]
async fn a_result_that_does_not_come_in_time_is_exit_75_and_names_the_event() {
    let (bench, broker) = (Bench::new(), Broker::new(1));
    let input = bench.file("one.json", &created("e-lonely", "42").to_string());
    let mut command = bench.command(&["publish", text(&input), "--wait", "--timeout", "300ms"]);
    command.envs(broker.variables());
    let ended = beside(command).await;
    assert_eq!(ended.code, 75, "{}", ended.err);
    assert!(ended.err.contains("e-lonely"), "{}", ended.err);
}

#[tokio::test]
async fn one_customer_goes_to_the_partition_that_java_clients_choose() {
    let (bench, broker) = (Bench::new(), Broker::new(12));
    let input = bench.file("one.json", &created("e1", "42").to_string());
    let mut command = bench.command(&["publish", text(&input), "--output", "json"]);
    command.envs(broker.variables());
    let ended = beside(command).await;
    // murmur2("42") as Kafka's Java client computes it, without the sign, modulo 12.
    assert_eq!(ended.lines()[0]["partition"], i64::from(murmur2(b"42") & 0x7fff_ffff) % 12);
}

/// The hash of Kafka's Java client, written down independently of librdkafka.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ u32::try_from(bytes.len()).unwrap();
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (index, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[tokio::test]
async fn samples_are_valid_events_and_go_to_the_dev_that_runs() {
    let (bench, broker) = (Bench::new(), Broker::new(2));
    bench.leave_connection(&broker.address, std::process::id());
    let ended = beside(bench.command(&["publish", "--sample", "3", "--output", "json"])).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(ended.lines().len(), 3);
    let consumer = broker.consumer(CREATED);
    for _ in 0..3 {
        let message = consumer.recv().await.unwrap().detach();
        let event = serde_json::from_slice(message.payload().unwrap()).unwrap();
        assert_eq!(profile_linker::contract::schemas::violations(CREATED, &event), []);
    }
}

#[test]
fn a_broker_that_is_away_is_exit_69_within_35_seconds_and_says_why() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let bench = Bench::new();
    let input = bench.file("one.json", &created("e1", "42").to_string());
    let started = Instant::now();
    let ended = bench.run_with(&["publish", text(&input)], &[("PROFILE_LINKER_KAFKA__BROKERS", &free)]);
    assert_eq!(ended.code, 69, "{ended:?}");
    assert!(started.elapsed() < Duration::from_secs(35));
    assert!(ended.err.contains(&free) && ended.err.contains("refused"), "{}", ended.err);
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_told_and_not_made() {
    let (bench, broker) = (Bench::new(), Broker::empty());
    let input = bench.file("one.json", &created("e1", "42").to_string());
    let mut command = bench.command(&["publish", text(&input)]);
    command.envs(broker.variables());
    let ended = beside(command).await;
    assert_eq!(ended.code, 1, "{}", ended.err);
    assert!(ended.err.contains("migrate --topics"), "{}", ended.err);
    broker.add_topic(CREATED);
}
