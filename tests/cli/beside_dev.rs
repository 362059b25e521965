//! `dlq` and `ledger` without a configuration beside a running `dev`: its ledger serves it alone, but its topics can be asked.

use crate::bench::Bench;
use crate::running::Running;

#[test]
fn a_command_for_a_ledger_beside_a_dev_names_what_works_beside_it() {
    let bench = Bench::new();
    let mut dev = Running::start(bench.command(&["dev"])).says("Ctrl-C ends");
    let config = bench.directory.path().canonicalize().unwrap().join("profile-linker/dev/worker.toml");
    let config = config.to_str().unwrap();
    for words in [&["dlq", "list"][..], &["dlq", "audit"], &["dlq", "stats", "--from-topic"]] {
        let lost = bench.run(words);
        assert!([69, 78].contains(&lost.code), "{words:?}: {lost:?}");
        let named = format!("--from-topic --config {config}");
        assert!(lost.err.contains("`dev`") && lost.err.contains(&named), "{words:?}: {}", lost.err);
    }
    let lost = bench.run(&["ledger", "show", "e1"]);
    assert_eq!(lost.code, 69, "{lost:?}");
    assert!(lost.err.contains("`dev`") && lost.err.contains(&format!("--config {config}")), "{}", lost.err);
    assert!(!lost.err.contains("--from-topic"), "no topic tells a timeline: {}", lost.err);
    let list = bench.run(&["dlq", "list", "--from-topic", "--config", config, "--output", "json"]);
    assert_eq!(list.code, 0, "{list:?}");
    let elsewhere = bench.run_with(&["dlq", "list"], &[("PROFILE_LINKER_LEDGER__URL", "postgres://127.0.0.1:1/x")]);
    assert!(!elsewhere.err.contains("`dev`"), "another one is named: {}", elsewhere.err);
    assert_eq!(dev.end("-INT"), 130);
    let own = bench.run(&["dlq", "list", "--config", config, "--output", "json"]);
    assert_eq!(own.code, 0, "{own:?}");
    assert_eq!(own.lines().len(), list.lines().len(), "the ledger knows what the topic knew");
    let shown = bench.run(&["ledger", "show", "e1", "--config", config]);
    assert_eq!(shown.code, 1, "it is open to others now: {shown:?}");
}
