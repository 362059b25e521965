//! How commands behave where they are used: pipes, colours, narrow terminals, and how they fail.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use crate::bench::{Bench, Broker, LINKED, beside, created, linked, text};

/// It ends at once; this is for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_watch_whose_reader_has_seen_enough_ends_though_nothing_more_comes() {
    let (bench, broker) = (Bench::new(), Broker::new(1));
    broker.publish(LINKED, "42", &linked("e1", "42")).await;
    let mut command = bench.command(&["watch", "--from", "start"]);
    command.envs(broker.variables());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let reading = tokio::task::spawn_blocking(move || {
        out.read_line(&mut line).unwrap();
        // As `head -1` ends here, the pipe is closed.
        line
    });
    assert!(reading.await.unwrap().contains(" e1: "));
    let pid = child.id().to_string();
    let mut ending = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let Ok(ended) = tokio::time::timeout(PATIENCE, &mut ending).await else {
        std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap();
        panic!("it goes on though nobody reads");
    };
    let ended = ended.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert!(!String::from_utf8(ended.stderr).unwrap().contains("error"));
}

#[tokio::test]
async fn colours_are_for_terminals_and_for_those_who_do_not_refuse_them() {
    let (bench, broker) = (Bench::new(), Broker::new(1));
    broker.publish(LINKED, "42", &linked("e1", "42")).await;
    let cases: [(&[(&str, &str)], bool); 4] = [
        (&[], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
    ];
    for (variables, coloured) in cases {
        let mut command = bench.command(&["watch", "--from", "start", "--limit", "1"]);
        command.envs(broker.variables()).envs(variables.iter().copied());
        let ended = beside(command).await;
        assert_eq!(ended.out.contains('\u{1b}'), coloured, "{variables:?}: {:?}", ended.out);
        let mut command = bench.command(&["publish", "nowhere.json"]);
        command.envs(variables.iter().copied());
        let ended = beside(command).await;
        assert_eq!(ended.err.contains('\u{1b}'), coloured, "{variables:?}: {:?}", ended.err);
    }
}

#[test]
fn json_is_never_coloured() {
    let bench = Bench::new();
    let ended = bench.run_with(&["config", "--output", "json"], &[("CLICOLOR_FORCE", "1")]);
    assert!(ended.code == 0 && !ended.out.contains('\u{1b}'), "{ended:?}");
}

#[test]
fn a_help_fits_a_narrow_terminal_and_its_example_stays_one_line() {
    let bench = Bench::new();
    let ended = bench.run_with(&["publish", "--help"], &[("COLUMNS", "60")]);
    assert_eq!(ended.code, 0);
    let is_example = |line: &&str| line.trim_start().starts_with("profile-linker ");
    let example = ended.out.lines().find(is_example).unwrap();
    assert_eq!(example.trim(), "profile-linker publish --sample 3 --wait");
    let widest = ended.out.lines().filter(|line| !is_example(line)).map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| widest <= 60), "{widest:?}: {}", ended.out);
}

/// Arguments, exit code, and what must be said: what, where, what to do.
const FAILURES: [(&[&str], i32, [&str; 3]); 10] = [
    (&["publish", "nowhere.json"], 66, ["the input cannot be read", "nowhere.json", "JSON or NDJSON"]),
    (&["publish", "bad.json"], 65, ["nothing was published", "bad.json:1 /data/customer/id", "schema show"]),
    (&["publish", "text.json"], 65, ["not JSON", "text.json:1:", "NDJSON"]),
    (&["watch", "--config", "nowhere.toml"], 78, ["1 problem", "nowhere.toml", "docs/configuration.md"]),
    (&["watch", "--config", "ca.toml"], 78, ["librdkafka refuses", "kafka.properties", "PEM"]),
    (&["watch", "--config", "gssapi.toml"], 78, ["librdkafka refuses", "GSSAPI", "SCRAM-SHA-512"]),
    (&["migrate"], 78, ["1 problem", "keys", "keys generate"]),
    (&["keys", "generate", "--out", "bad.json"], 1, ["the key was not written", "bad.json", "a new file"]),
    (
        &["ledger", "show", "e1", "--config", "ledger.toml"],
        69,
        ["ledger unavailable: 127.0.0.1:1: ", "Connection refused", "start the database"],
    ),
    (
        &["ledger", "show", "e1", "--config", "used.toml"],
        69,
        ["used.db is in use by another process", "sqlite:used.db", "end the worker (or `dev`)"],
    ),
];

#[test]
fn a_failure_tells_what_where_and_what_to_do() {
    let bench = Bench::new();
    bench.file("bad.json", &created("e1", "forty-two").to_string());
    bench.file("text.json", "hello");
    bench.file("k1.key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    bench.file("ledger.toml", "ledger.url = \"postgres://127.0.0.1:1/x\"\nkeys.k1.file = \"k1.key\"\n");
    bench.file("used.toml", "ledger.url = \"sqlite:used.db\"\nkeys.k1.file = \"k1.key\"\n");
    bench.file("used.db", "");
    let properties = |text: &str| format!("[kafka.properties]\n\"security.protocol\" = {text}\n");
    bench.file("ca.toml", &properties("\"SSL\"\n\"ssl.ca.location\" = \"bad.json\""));
    bench.file("gssapi.toml", &properties("\"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"GSSAPI\""));
    let lock = std::fs::File::create(bench.directory.path().join("used.db.lock")).unwrap();
    lock.lock().unwrap();
    for (arguments, code, said) in FAILURES {
        let ended = bench.run(arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {ended:?}");
        assert_eq!(ended.out, "", "{arguments:?}: failures go to stderr");
        assert!(ended.err.starts_with("error: "), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains("\n  to do: "), "{arguments:?}: {}", ended.err);
        for one in said {
            assert!(ended.err.contains(one), "{arguments:?}: no {one:?} in {}", ended.err);
        }
    }
}

#[test]
fn a_question_is_never_asked_where_nobody_can_answer() {
    let bench = Bench::new();
    let path = bench.directory.path().join("k1.key");
    let ended = bench.run_fed(&["keys", "generate", "--out", text(&path)], "");
    assert_eq!(ended.code, 0, "{ended:?}");
    let ended = bench.run_fed(&["publish"], "");
    assert_eq!(ended.code, 65, "an empty input is no terminal: {ended:?}");
}
