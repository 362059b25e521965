//! Every example of every `--help`, run as it stands there.
//!
//! They run beside one `dev`, which has a broker, a sandbox and samples; `worker.toml` leads to it. What a shell would do
//! behind a command (`> file`, `&& man ..`) is cut off, and a fixed port becomes a free one.

use clap::CommandFactory;
use profile_linker::cli::Cli;

use crate::bench::{Bench, Ended};
use crate::commands::collect;
use crate::running::Running;

/// Examples that are run here in an order of their own: what they need is made by the ones before.
const FIRST: [&str; 5] = [
    "dev --exit-after-samples",
    "dev",
    "keys generate --out k1.key",
    "migrate --topics --config worker.toml",
    "run --config worker.toml",
];

/// Examples that may rightly end otherwise than with 0.
const OTHERWISE: [(&str, &[i32]); 3] = [
    // There is no such event here.
    ("ledger show order-4711 --config worker.toml", &[1]),
    ("dlq show order-4711 --config worker.toml", &[1]),
    // The embedded broker cannot answer everything that a doctor asks.
    ("check --config worker.toml", &[0, 1]),
];

/// The lines that a help shows as examples, without the program's name.
fn examples(help: &str) -> Vec<String> {
    let lines = help.lines().filter_map(|line| line.trim_start().strip_prefix("profile-linker "));
    let of_shell = |line: &str| [" > ", " | ", " && ", " &"].iter().filter_map(|mark| line.find(mark)).min();
    lines.map(|line| line[..of_shell(line).unwrap_or(line.len())].replace(":8710", ":0").trim().to_owned()).collect()
}

fn all_examples(bench: &Bench) -> Vec<String> {
    let mut paths = Vec::new();
    collect(&Cli::command(), &mut Vec::new(), &mut paths);
    let mut all = Vec::new();
    for path in paths {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let found = examples(&bench.run(&arguments).out);
        assert!(!found.is_empty(), "{path:?} shows no example");
        all.extend(found.into_iter().filter(|example| !example.contains("--help")));
    }
    all.sort();
    all.dedup();
    all
}

fn words(example: &str) -> Vec<&str> {
    example.split_whitespace().collect()
}

/// A configuration that leads to `dev`'s broker and sandbox, and to a ledger of its own.
fn write_configuration(bench: &Bench) {
    let connection =
        std::fs::read_to_string(bench.directory.path().join("profile-linker/dev-connection.json")).unwrap();
    let connection: serde_json::Value = serde_json::from_str(&connection).unwrap();
    let (brokers, sandbox) = (connection["brokers"].as_str().unwrap(), connection["sandbox"].as_str().unwrap());
    let sandbox = sandbox.trim_end_matches('/');
    bench.file(
        "worker.toml",
        &format!(
            "kafka.brokers = {brokers:?}\nkafka.group = \"examples\"\nkafka.delivery = \"idempotent\"\n\
             ledger.url = \"sqlite:ledger.db\"\nadmin.listen = \"127.0.0.1:0\"\n\
             [converter.payiq]\nbase_url = \"{sandbox}/payiq/\"\napi_key = \"any\"\nsigning_key = \"any\"\n\
             [target.loanpro]\nbase_url = \"{sandbox}/loanpro/\"\ntoken = \"any\"\ninstance_id = \"1\"\n\
             [keys]\nk1 = {{ file = \"k1.key\" }}\n"
        ),
    );
}

#[test]
fn every_example_of_every_help_does_what_it_says() {
    let bench = Bench::new();
    let all = all_examples(&bench);
    assert!(all.len() > 12, "{all:?}");
    let [at_once, dev, key, migrate, run] = FIRST;
    assert_eq!(ended(&bench, at_once).code, 0, "{at_once}");
    let mut dev = Running::start(bench.command(&words(dev))).says("Ctrl-C ends");
    write_configuration(&bench);
    for example in [key, migrate] {
        let ended = ended(&bench, example);
        assert_eq!(ended.code, 0, "{example}: {ended:?}");
    }
    let mut worker = Running::start(bench.command(&words(run))).says("worker ready");
    assert_eq!(worker.end("-TERM"), 0, "{run}: a worker that is told to end does so");
    for example in all.iter().filter(|example| !FIRST.contains(&example.as_str())) {
        if example.starts_with("watch ") || example.starts_with("sandbox ") {
            let mut endless = Running::start(bench.command(&words(example)));
            if example.starts_with("watch ") {
                endless = endless.says("watching ");
                assert_eq!(endless.end("-INT"), 130, "{example}");
            }
            continue;
        }
        let expected = OTHERWISE.iter().find(|(other, _)| other == example).map_or(&[0][..], |(_, codes)| codes);
        let ended = ended(&bench, example);
        assert!(expected.contains(&ended.code), "{example}: {ended:?}");
    }
    assert_eq!(dev.end("-INT"), 130);
    assert!(FIRST.iter().all(|first| all.iter().any(|example| example == first)), "{all:?}");
}

fn ended(bench: &Bench, example: &str) -> Ended {
    bench.run(&words(example))
}
