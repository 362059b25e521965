//! `dlq` on a ledger in a file: what each command prints, for people and for scripts, and what it leaves.

use profile_linker::contract::{OutgoingRecord, TopicRole, record_bytes};
use profile_linker::domain::{
    Attempts, Customer, EventIdentity, Lane, Origin, PublishSeq, ReasonCode, Secret, Stage as Where, System,
};
use profile_linker::ledger::custody::record_context;
use profile_linker::ledger::{self, AcceptLane, EndedRow, NewRow, RowState, Vault};
use serde_json::{Value, json};

use crate::bench::{Bench, Ended};

const SOURCE: &str = "https://shop.example/checkout";
const TOPIC: &str = "payments.profile-created.v1";

/// A bench with a ledger that holds three dead letters: `a` and `b` of the reason that outages make, `c` of another.
async fn stocked() -> Bench {
    stocked_but(&[]).await
}

/// The same, but the records of some of them are damaged.
async fn stocked_but(damaged: &[&str]) -> Bench {
    let bench = Bench::new();
    bench.file("k1.key", &(data_encoding::BASE64.encode(&[1; 32]) + "\n"));
    bench.file("worker.toml", "ledger.url = \"sqlite:ledger.db\"\n[keys]\nk1 = { file = \"k1.key\" }\n");
    let url = Secret::from(format!("sqlite://{}/ledger.db", bench.directory.path().display()));
    let vault = Vault::new("k1", vec![("k1".to_owned(), Secret::new(vec![1; 32]))]).unwrap();
    ledger::migrate(&url, &vault).await.unwrap();
    let ledger = ledger::open(&url).await.unwrap();
    let claim = ledger.raise("worker", &[Lane(0)]).await.unwrap()[0].claim;
    for (number, id, code) in [
        (1, "a", ReasonCode::RetriesExhausted),
        (2, "b", ReasonCode::RetriesExhausted),
        (3, "c", ReasonCode::LinkUnknown),
    ] {
        let mut row = new_row(id, number, &vault);
        if damaged.contains(&id) {
            row.sealed_record = b"sealed".to_vec();
        }
        let accept = AcceptLane { claim, position: number + 1, first_seq: PublishSeq(number) };
        ledger.accept(&[accept], std::slice::from_ref(&row)).await.unwrap();
        ledger.end(&[claim], &[ended(&row, number, code)]).await.unwrap();
    }
    drop(ledger);
    bench
}

pub fn new_row(id: &str, number: i64, vault: &Vault) -> NewRow {
    let identity = EventIdentity { source: SOURCE.to_owned(), id: id.to_owned() };
    let origin = Origin { topic: TOPIC.to_owned(), partition: 0, offset: number, timestamp: 1_700_000_000_000 };
    let record = record_bytes::encode(None, Some(b"{}"), &[]);
    NewRow {
        key: identity.key(),
        lane: Lane(0),
        offset: number,
        timestamp: 1_700_000_000_000,
        identity: Some(identity),
        customer: Some(Customer { system: System::Loanpro, id: format!("4{number}") }),
        payload_hash: [7; 32],
        generation: 1,
        sealed_record: vault.seal(&record_context(&origin), &record),
        possibly_sent: false,
        ended: None,
    }
}

pub fn ended(row: &NewRow, number: i64, code: ReasonCode) -> EndedRow {
    let record = |topic| OutgoingRecord { topic, key: None, value: b"{}".to_vec(), headers: Vec::new() };
    EndedRow {
        key: row.key,
        lane: row.lane,
        state: RowState::DeadLettered,
        publish_seq: PublishSeq(number),
        failed_ms_ago: None,
        reason: Some((code, Where::Link)),
        records: vec![record(TopicRole::Rejected), record(TopicRole::DeadLetter)],
        attempts: Attempts { convert: 0, link: 2, lookup: 3 },
        timeline: "1763719000000 loanpro.link unknown 503 12\n1763719000001 end rejected:x - 0\n".to_owned(),
    }
}

fn dlq(bench: &Bench, arguments: &[&str]) -> Ended {
    let words: Vec<&str> =
        ["dlq"].into_iter().chain(arguments.iter().copied()).chain(["--config", "worker.toml"]).collect();
    let mut command = bench.command(&words);
    command.env("USER", "ada");
    Ended::of(command.output().unwrap())
}

fn as_json(bench: &Bench, arguments: &[&str]) -> Vec<Value> {
    let words: Vec<&str> = arguments.iter().copied().chain(["--output", "json"]).collect();
    let ended = dlq(bench, &words);
    assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
    ended.lines()
}

fn ids(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["eventId"].as_str()).collect()
}

#[tokio::test]
async fn a_list_is_the_contracts_object_one_line_each() {
    let bench = stocked().await;
    let listed = as_json(&bench, &["list", "--event-id", "b"]);
    let [line] = &listed[..] else { panic!("{listed:?}") };
    let mut line = line.clone();
    let at = line["deadLetteredAt"].take();
    assert!(at.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{at}");
    assert_eq!(
        line,
        json!({
            "eventId": "b", "source": SOURCE, "origin": {"topic": TOPIC, "partition": 0, "offset": 2},
            "customer": {"system": "loanpro", "id": "42"}, "reason": {"code": "retries_exhausted", "stage": "link"},
            "generation": 1, "attempts": {"convert": 0, "link": 2, "lookup": 3}, "deadLetteredAt": null,
            "state": "dead-lettered",
        })
    );
}

#[tokio::test]
async fn every_filter_selects_what_it_names() {
    let bench = stocked().await;
    let (here, elsewhere) = (format!("{TOPIC}/0/3"), "other/0/3");
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &["a", "b", "c"]),
        (&["--reason", "retries_exhausted"], &["a", "b"]),
        (&["--reason", "token_rejected"], &[]),
        (&["--stage", "link", "--customer", "43"], &["c"]),
        (&["--customer", "loanpro/41"], &["a"]),
        (&["--customer", "aloha/41"], &[]),
        (&["--origin", &here], &["c"]),
        (&["--origin", elsewhere], &[]),
        (&["--since", "1h"], &["a", "b", "c"]),
        (&["--until", "1h"], &[]),
        (&["--since", "2099-01-01T00:00:00Z"], &[]),
        (&["--limit", "2"], &["a", "b"]),
        (&["b"], &["b"]),
        (&["--state", "discarded"], &[]),
    ];
    for (arguments, expected) in cases {
        let words: Vec<&str> = ["list"].into_iter().chain(arguments.iter().copied()).collect();
        assert_eq!(ids(&as_json(&bench, &words)), *expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn stats_count_by_reason() {
    let bench = stocked().await;
    let mut stats = as_json(&bench, &["stats"]);
    for group in &mut stats {
        let [oldest, newest] =
            ["oldestAgeSeconds", "newestAgeSeconds"].map(|name| group[name].take().as_u64().unwrap());
        assert!(newest <= oldest && oldest < 600, "{oldest} {newest}");
    }
    let group = |reason: &str, count: u64| {
        json!({"reason": reason, "stage": "link", "count": count, "oldestAgeSeconds": null,
               "newestAgeSeconds": null, "customers": count})
    };
    assert_eq!(stats, [group("retries_exhausted", 2), group("link_unknown", 1)]);
    let text = dlq(&bench, &["stats"]).out;
    assert!(
        text.starts_with("COUNT  REASON") && text.lines().count() == 3 && text.contains("retries_exhausted"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_shown_tells_the_story_and_what_a_replay_would_do() {
    let bench = stocked().await;
    let shown = dlq(&bench, &["show", "a"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    for part in
        ["a from https://shop.example/checkout", "retries_exhausted at link", "loanpro/41", "loanpro.link", "503"]
    {
        assert!(shown.out.contains(part), "{part} is not in\n{}", shown.out);
    }
    assert!(shown.out.contains("a replay   looks whether the profile is there"), "{}", shown.out);
    let none = dlq(&bench, &["show", "none"]);
    assert_eq!((none.code, none.out.as_str()), (1, ""), "{none:?}");
    assert!(none.err.contains("no such dead letter") && none.err.contains("to do"), "{}", none.err);
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let bench = stocked().await;
    let would = as_json(&bench, &["replay", "--dry-run"]);
    assert_eq!(would, [json!({"wouldReplay": {"retries_exhausted": 2, "link_unknown": 1}})]);
    let limited = as_json(&bench, &["replay", "--dry-run", "--limit", "1"]);
    assert_eq!(limited, [json!({"wouldReplay": {"retries_exhausted": 1}})]);
    let text = dlq(&bench, &["replay", "--dry-run", "--reason", "link_unknown"]).out;
    assert!(text.lines().nth(1).unwrap().split_whitespace().eq(["1", "link_unknown", "loanpro", "2"]), "{text}");
    assert!(as_json(&bench, &["list"]).iter().all(|line| line["state"] == "dead-lettered"));
    assert!(as_json(&bench, &["audit"]).is_empty());
}

#[tokio::test]
async fn a_replay_tells_each_once_and_again_nothing() {
    let bench = stocked().await;
    let replayed = as_json(&bench, &["replay", "--reason", "retries_exhausted", "--why", "it's mended"]);
    let line = |id: &str, offset: u64| {
        let origin = json!({"topic": TOPIC, "partition": 0, "offset": offset});
        json!({"eventId": id, "origin": origin, "generation": 2, "action": "replayed"})
    };
    assert_eq!(replayed, [line("a", 1), line("b", 2), json!({"replayed": 2, "skipped": 0})]);
    let again = as_json(&bench, &["replay", "--reason", "retries_exhausted"]);
    assert_eq!(again, [json!({"replayed": 0, "skipped": 0})]);
    let listed = as_json(&bench, &["list", "--state", "replaying"]);
    assert!(ids(&listed) == ["a", "b"] && listed.iter().all(|line| line["generation"] == 2), "{listed:?}");
    let audit = as_json(&bench, &["audit"]);
    assert_eq!(ids(&audit), ["a", "b"]);
    for act in &audit {
        let told = (&act["actor"], &act["act"], &act["why"]);
        assert_eq!(told, (&json!("ada"), &json!("replay"), &json!("it's mended")), "{act}");
    }
    let text = dlq(&bench, &["audit"]).out;
    assert!(text.contains("2 events") && text.contains("it's mended"), "{text}");
}

#[tokio::test]
async fn what_does_not_open_is_named_and_stays_a_dead_letter() {
    let bench = stocked_but(&["a"]).await;
    let replayed = as_json(&bench, &["replay", "--reason", "retries_exhausted"]);
    let told: Vec<_> = replayed.iter().filter_map(|line| line["action"].as_str()).collect();
    assert_eq!(told, ["skipped", "replayed"]);
    assert_eq!(replayed.last(), Some(&json!({"replayed": 1, "skipped": 1, "unreadable": 1})));
    assert_eq!(ids(&as_json(&bench, &["list", "--state", "dead-lettered"])), ["a", "c"]);
    let would = as_json(&bench, &["replay", "--dry-run"]);
    assert_eq!(would, [json!({"wouldReplay": {"link_unknown": 1}, "unreadable": 1})]);
    let text = dlq(&bench, &["replay", "--dry-run"]).out;
    assert!(text.ends_with("1 unreadable: they would stay as they are\n"), "{text}");
    let text = dlq(&bench, &["replay", "a", "--yes"]);
    assert_eq!((text.code, text.out.as_str()), (0, "replayed 0, skipped 1, of them 1 unreadable\n"), "{text:?}");
    assert!(text.err.contains("unreadable a: it does not open"), "{}", text.err);
    assert_eq!(ids(&as_json(&bench, &["audit"])), ["b"], "nothing was done to it");
}

#[tokio::test]
async fn a_limit_counts_what_is_replayed_and_not_what_is_skipped() {
    let bench = stocked_but(&["a"]).await;
    let would = as_json(&bench, &["replay", "--dry-run", "--limit", "1"]);
    assert_eq!(would, [json!({"wouldReplay": {"retries_exhausted": 1}, "unreadable": 1})]);
    let replayed = as_json(&bench, &["replay", "--limit", "1"]);
    assert_eq!(ids(&replayed), ["a", "b"], "what does not open stands first each time");
    assert_eq!(replayed.last(), Some(&json!({"replayed": 1, "skipped": 1, "unreadable": 1})));
    let nothing = as_json(&bench, &["replay", "--limit", "0"]);
    assert_eq!(nothing, [json!({"replayed": 0, "skipped": 0})]);
}

#[tokio::test]
async fn what_is_being_replayed_is_exported_as_it_was_dead_lettered() {
    let bench = stocked().await;
    let exported = || dlq(&bench, &["export", "--event-id", "b", "--state", "all"]).lines()[0]["id"].clone();
    let before = exported();
    as_json(&bench, &["replay", "b"]);
    assert_eq!(exported(), before, "the id of the event that was published");
}

#[tokio::test]
async fn what_is_discarded_is_not_replayed_and_can_be_restored() {
    let bench = stocked().await;
    let unsaid = dlq(&bench, &["discard"]);
    assert_eq!(unsaid.code, 2, "nothing says what: {unsaid:?}");
    let discarded = as_json(&bench, &["discard", "--event-id", "a", "--why", "a duplicate"]);
    let origin = json!({"topic": TOPIC, "partition": 0, "offset": 1});
    let line = |action: &str| json!({"eventId": "a", "origin": origin, "action": action});
    assert_eq!(discarded, [line("discarded"), json!({"discarded": 1, "skipped": 0})]);
    assert_eq!(ids(&as_json(&bench, &["list"])), ["b", "c"]);
    assert_eq!(ids(&as_json(&bench, &["list", "--state", "discarded"])), ["a"]);
    assert_eq!(as_json(&bench, &["list", "--state", "all"])[0]["state"], "discarded");
    assert_eq!(as_json(&bench, &["replay", "a"]), [json!({"replayed": 0, "skipped": 0})]);
    let shown = dlq(&bench, &["show", "a"]).out;
    assert!(shown.contains("discarded") && shown.contains("by ada: a duplicate"), "{shown}");
    let restored = as_json(&bench, &["restore", "--all", "--by", "bob"]);
    assert_eq!(restored, [line("restored"), json!({"restored": 1, "skipped": 0})]);
    assert_eq!(ids(&as_json(&bench, &["list"])), ["a", "b", "c"]);
    let acts = as_json(&bench, &["audit", "--event-id", "a"]);
    let told: Vec<_> = acts.iter().map(|act| (act["actor"].as_str().unwrap(), act["act"].as_str().unwrap())).collect();
    assert_eq!(told, [("ada", "discard"), ("bob", "restore")]);
    assert_eq!(as_json(&bench, &["audit", "--by", "bob"]).len(), 1);
}

#[tokio::test]
async fn a_ramp_without_a_worker_is_refused_where_none_can_be() {
    let bench = stocked().await;
    let ramp = dlq(&bench, &["replay", "--ramp"]);
    assert_eq!(ramp.code, 2, "{ramp:?}");
    assert!(ramp.err.contains("no worker can have this ledger"), "{}", ramp.err);
    let nothing = dlq(&bench, &["replay", "--ramp", "--reason", "invalid_event"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (0, "replayed 0, skipped 0\n"), "{nothing:?}");
}

#[tokio::test]
async fn nothing_of_a_sealed_payload_is_opened_by_an_export() {
    let bench = stocked_but(&["a"]).await;
    let exported = dlq(&bench, &["export", "--limit", "1"]);
    assert_eq!(exported.code, 0, "{exported:?}");
    let event = &exported.lines()[0];
    assert_eq!((&event["type"], &event["causationid"]), (&json!("payments.dead-letter.v1"), &json!("a")));
    assert_eq!(event["data"]["sealed"], data_encoding::BASE64.encode(b"sealed"));
    assert_eq!(event["data"]["reason"]["detail"], "the last call, loanpro.link: unknown (status 503)");
}

#[tokio::test]
async fn colours_and_cuts_are_for_terminals() {
    let bench = stocked().await;
    for (variables, coloured) in
        [(&[][..], false), (&[("CLICOLOR_FORCE", "1")], true), (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false)]
    {
        let mut command = bench.command(&["dlq", "list", "--config", "worker.toml"]);
        command.envs(variables.iter().copied());
        let ended = Ended::of(command.output().unwrap());
        assert_eq!(ended.out.contains('\u{1b}'), coloured, "{variables:?}: {}", ended.out);
        let all_columns = ended.out.contains(&format!("{TOPIC}/0/1"));
        assert!(all_columns, "what is piped is never cut: {}", ended.out);
    }
}
