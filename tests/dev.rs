//! `dev`, as its user runs it: the whole system in one process, its samples, its data directory, and those who find it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at its first surprise")]
#![allow(dead_code, reason = "the support modules are shared; each test binary uses its own share of them")]

#[path = "support/child.rs"]
mod child;
#[path = "support/patience.rs"]
mod patience;
#[path = "support/validity.rs"]
mod validity;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use profile_linker::domain::Secret;
use serde_json::Value;
use tempfile::TempDir;

use child::{Guarded, Signal};
use patience::within;
use validity::Published;

const PROGRAM: &str = env!("CARGO_BIN_EXE_profile-linker");

/// A run takes about four seconds, three of them the embedded broker's wait for a group; this is for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// What each sample shows, step by step, where the output is piped. Between two samples the order is left to chance.
const STEPS: [(&str, &[&str]); 9] = [
    ("checking account", &["arrived", "converted", "linked as "]),
    ("the same event again", &["arrived", "a duplicate: no second result"]),
    ("savings account", &["arrived", "converted", "linked as "]),
    ("card", &["arrived", "converted", "linked as "]),
    ("answer lost, looked up", &["arrived", "converted", "linked as "]),
    ("card for Aloha", &["arrived", "converted", "linked as "]),
    ("declined card", &["arrived", "rejected: account_declined final"]),
    ("expired token", &["arrived", "rejected: token_expired final"]),
    ("not an event", &["arrived", "rejected: malformed_event dead-lettered"]),
];

/// Every sample but the duplicate has a result of its own.
const RESULTS: usize = STEPS.len() - 1;

/// A user's home and state directory, with nothing of the machine's around.
struct User {
    directory: TempDir,
}

impl User {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn state(&self) -> String {
        format!("XDG_STATE_HOME={}", self.directory.path().display())
    }

    /// Starts `dev` and does not wait for it.
    fn dev(&self, arguments: &[&str]) -> Dev {
        self.dev_in(&self.state(), arguments)
    }

    /// The same, where the state directory follows from this variable.
    fn dev_in(&self, variable: &str, arguments: &[&str]) -> Dev {
        let number = std::fs::read_dir(self.directory.path()).unwrap().count();
        let (out, err) = (self.path(&format!("{number}.out")), self.path(&format!("{number}.err")));
        std::fs::write(&err, "").unwrap();
        // The guard puts both streams into one file; here they are told apart.
        let apart = ["sh", "-c", r#"exec 2>"$0" env -i "$@""#, text(&err), variable, PROGRAM, "dev"];
        let program: Vec<String> = apart.iter().chain(arguments).map(|&word| word.to_owned()).collect();
        Dev { process: Guarded::start(&program, &[], &out).unwrap(), err }
    }

    /// Runs another command of the program to its end.
    fn run(&self, arguments: &[&str]) -> Ended {
        let state = self.state();
        let (name, value) = state.split_once('=').unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env_clear().env(name, value).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A `dev` that runs.
struct Dev {
    process: Guarded,
    err: PathBuf,
}

impl Dev {
    fn notes(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap()
    }

    /// Waits until it says this.
    fn says(self, words: &str) -> Self {
        let said = within(PATIENCE, || self.notes().contains(words).then_some(()));
        assert!(said.is_some(), "not said: {words:?}\n{}\n{}", self.process.output(), self.notes());
        self
    }

    /// Waits until its samples are done and it has told how to go on.
    fn once_up(self) -> Self {
        self.says("In a second terminal:").says("Ctrl-C ends")
    }

    fn end(mut self) -> Ended {
        let Some(status) = self.process.end_within(PATIENCE) else {
            panic!("dev does not end:\n{}\n{}", self.process.output(), self.notes())
        };
        Ended { code: status.code(), out: self.process.output(), err: self.notes() }
    }

    fn terminate(mut self) -> Ended {
        self.process.signal(Signal::Terminate);
        self.end()
    }
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    /// The lines of `dev` or `watch`. Whatever a test looks for: each result is what its schema promises.
    fn json(&self) -> Vec<Value> {
        let line = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
        let lines: Vec<Value> = self.out.lines().map(line).collect();
        for event in lines.iter().filter_map(|line| line.get("event")) {
            let published = match event["type"].as_str() {
                Some("payments.profile-linked.v1") => Published::Linked,
                Some("payments.profile-rejected.v1") => Published::Rejected,
                other => panic!("{other:?} is no result"),
            };
            assert_eq!(validity::is_valid(published, event), Ok(()), "{event}");
        }
        lines
    }

    /// What was said about a sample, in order.
    fn steps(&self, sample: &str) -> Vec<&str> {
        let of_sample = |line: &&str| line.chars().take(23).collect::<String>().trim_end() == sample;
        let step = |line: &'_ str| line.char_indices().nth(33).map_or(line.len(), |(start, _)| start);
        self.out.lines().filter(of_sample).map(|line| &line[step(line)..]).collect()
    }

    fn linked(&self) -> Vec<Value> {
        let is_linked = |line: &Value| line["event"]["type"] == "payments.profile-linked.v1";
        self.json().into_iter().filter(is_linked).collect()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_sample_shows_its_steps_in_plain_lines_when_piped_and_dev_exits_with_0() {
    let ended = User::new().dev(&["--exit-after-samples"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("every sample got the result expected"), "{}", ended.err);
    for (sample, expected) in STEPS {
        let steps = ended.steps(sample);
        let as_expected = steps.iter().zip(expected).all(|(step, expected)| step.starts_with(expected));
        assert!(steps.len() == expected.len() && as_expected, "{sample}: {steps:?}");
    }
    assert!(ended.steps("answer lost, looked up")[2].contains("(lookup) "), "{}", ended.out);
    for stream in [&ended.out, &ended.err] {
        assert!(!stream.contains(['\u{1b}', '\r']), "no escapes in a pipe: {stream:?}");
    }
}

#[test]
fn output_json_is_one_object_a_line() {
    let ended = User::new().dev(&["--exit-after-samples", "--output", "json"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = ended.json();
    assert_eq!(lines.len(), RESULTS, "{lines:?}");
    for line in &lines {
        let mut names: Vec<&String> = line.as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(names, ["event", "key", "offset", "partition", "topic"]);
        assert_eq!(line["event"]["specversion"], "1.0");
    }
    assert_eq!(ended.err, "", "nothing but logs goes to standard error");
}

#[tokio::test]
async fn a_second_start_on_a_kept_data_dir_goes_on_where_the_first_ended() {
    let user = User::new();
    let directory = user.path("kept");
    let as_json = ["--exit-after-samples", "--output", "json", "--data-dir", text(&directory)];
    let (first, second) = (user.dev(&as_json).end(), user.dev(&as_json).end());
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{first:?}\n{second:?}");
    let (linked, more) = (first.linked(), second.linked());
    let given = linked.iter().filter_map(profile).max();
    assert!(more.iter().filter_map(profile).min() > given, "the sandbox's books go on: {given:?}, {more:?}");
    assert_eq!(second.json().len(), RESULTS, "what the first one published is not published again: {}", second.out);
    let url = Secret::new(format!("sqlite://{}", directory.join("ledger.db").display()).into_bytes());
    let ledger = profile_linker::ledger::open(&url).await.unwrap();
    for line in &linked {
        let id = line["event"]["data"]["created"]["id"].as_str().unwrap();
        assert_eq!(ledger.find(id).await.unwrap().len(), 1, "the ledger still knows {id}");
    }
}

/// The number that the sandbox's LoanPro gave to a profile; Aloha's are no numbers.
fn profile(linked: &Value) -> Option<u64> {
    linked["event"]["data"]["paymentAccountId"].as_str()?.parse().ok()
}

#[test]
fn without_a_data_dir_the_fixed_folder_is_emptied_at_start_and_nothing_beside_it() {
    let user = User::new();
    let state = user.path(".local/state/profile-linker");
    std::fs::create_dir_all(state.join("dev/folder")).unwrap();
    for name in ["dev/folder/file", "dev/ledger.db", "beside"] {
        std::fs::write(state.join(name), "left behind").unwrap();
    }
    let ended = user.dev_in(&format!("HOME={}", user.directory.path().display()), &["--exit-after-samples"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!state.join("dev/folder").exists());
    assert!(std::fs::metadata(state.join("dev/ledger.db")).unwrap().len() > 1000, "a ledger of its own");
    assert!(state.join("beside").exists());
}

#[test]
fn a_second_dev_on_the_same_data_dir_is_refused_while_the_first_runs() {
    let user = User::new();
    let directory = user.path("shared");
    let first = user.dev(&["--data-dir", text(&directory)]).says("profile-linker dev");
    let second = user.dev(&["--exit-after-samples", "--data-dir", text(&directory)]).end();
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("another `profile-linker dev` uses the data directory"), "{}", second.err);
    assert!(second.err.contains(text(&directory)) && second.err.contains("--data-dir"), "{}", second.err);
    assert_eq!(first.once_up().terminate().code, Some(0), "the first one is not disturbed");
}

#[test]
fn publish_and_watch_find_the_running_dev_without_any_configuration() {
    let user = User::new();
    let dev = user.dev(&[]).once_up();
    let published = user.run(&["publish", "--sample", "3", "--wait", "--output", "json"]);
    assert_eq!(published.code, Some(0), "{published:?}");
    let number = (RESULTS + 3).to_string();
    let watched = user.run(&["watch", "--from", "start", "--limit", &number, "--output", "json"]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    let seen = watched.json();
    assert_eq!(published.json().len(), 3, "{published:?}");
    for result in published.json() {
        assert_eq!(result["event"]["type"], "payments.profile-linked.v1");
        assert!(seen.contains(&result), "{result} is not among {seen:?}");
    }
    let ended = dev.terminate();
    for result in published.json() {
        let id = result["event"]["data"]["created"]["id"].as_str().unwrap();
        assert!(ended.out.contains(id), "dev shows it too: {}", ended.out);
    }
}

#[test]
fn status_and_intake_find_the_running_dev_and_its_token() {
    use std::os::unix::fs::PermissionsExt;
    let user = User::new();
    let dev = user.dev(&[]).once_up();
    let file = user.path("profile-linker/dev-connection.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "its token is its user's only");
    let connection: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    for (arguments, intake) in [
        (&["status"][..], "ok"),
        (&["intake", "pause", "--why", "a test"], "paused"),
        (&["status"], "paused"),
        (&["intake", "resume"], "ok"),
    ] {
        let ended = user.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        let line = &ended.json()[0];
        let told = line.pointer("/checks/intake").or_else(|| line.get("intake")).unwrap();
        assert_eq!(told["status"], intake, "{arguments:?}: {line}");
        let token = connection["admin"]["token"].as_str().unwrap();
        assert!(!ended.out.contains(token) && !ended.err.contains(token), "{arguments:?}");
    }
    assert_eq!(dev.terminate().code, Some(0));
}

/// The embedded broker cannot answer most of what `check` asks: that must neither fail the check nor harm `dev`.
#[test]
fn a_check_of_a_running_dev_fails_nothing_and_leaves_it_running() {
    let user = User::new();
    let directory = user.path("checked");
    let dev = user.dev(&["--data-dir", text(&directory)]).once_up();
    let checked = user.run(&["check", "--output", "json", "--config", text(&directory.join("worker.toml"))]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let ok: Vec<_> = checked.json().into_iter().filter(|line| line["status"] == "ok").collect();
    for name in ["broker", "payiq", "loanpro", "aloha"] {
        assert!(ok.iter().any(|line| line["check"] == name), "{name}: {}", checked.out);
    }
    assert_eq!(dev.terminate().code, Some(0), "it is not disturbed");
}

#[test]
fn the_command_that_dev_prints_for_a_second_terminal_works_as_printed() {
    let user = User::new();
    let dev = user.dev(&[]).once_up();
    let notes = dev.notes();
    let line = notes.lines().find(|line| line.contains(" publish ")).unwrap();
    let (name, value) = ("XDG_STATE_HOME", user.directory.path());
    let pasted = Command::new("sh").args(["-c", line]).env_clear().env(name, value).output().unwrap();
    assert_eq!(pasted.status.code(), Some(0), "{line}: {pasted:?}");
}

#[test]
fn sigterm_ends_dev_with_0_at_any_time_and_takes_its_connection_file_away() {
    let user = User::new();
    for moment in ["profile-linker dev", "In a second terminal:"] {
        let dev = user.dev(&[]).says(moment);
        assert!(user.path("profile-linker/dev-connection.json").exists());
        let ended = dev.terminate();
        assert_eq!(ended.code, Some(0), "after {moment:?}: {ended:?}");
        assert!(!user.path("profile-linker/dev-connection.json").exists());
    }
}

#[test]
fn of_two_that_run_side_by_side_the_first_stays_the_one_that_commands_find() {
    let user = User::new();
    let first = user.dev(&["--data-dir", text(&user.path("first"))]).once_up();
    let second = user.dev(&["--data-dir", text(&user.path("second"))]).once_up();
    let config = user.path("second/worker.toml");
    assert!(second.notes().contains(text(&config)), "it says how to reach it: {}", second.notes());
    let watched = user.run(&["watch", "--from", "start", "--limit", "1", "--config", text(&config)]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    assert_eq!(second.terminate().code, Some(0));
    let published = user.run(&["publish", "--sample", "1", "--wait", "--output", "json"]);
    assert_eq!(published.code, Some(0), "{published:?}");
    let id = published.json()[0]["event"]["data"]["created"]["id"].as_str().unwrap().to_owned();
    let ended = first.terminate();
    assert!(ended.out.contains(&id), "the first one linked it: {}", ended.out);
    let third = user.dev(&[]).once_up();
    assert!(third.notes().contains("They find this process by themselves"), "the place is free: {}", third.notes());
    assert_eq!(third.terminate().code, Some(0));
}

#[test]
fn a_dev_whose_reader_has_seen_enough_ends_and_takes_its_connection_file_away() {
    let user = User::new();
    let log = user.path("shell");
    let pipe = r#"env -i "$@" 2>/dev/null | head -1"#;
    let program = ["sh", "-c", pipe, "sh", &user.state(), PROGRAM, "dev"].map(str::to_owned);
    let mut shell = Guarded::start(&program, &[], &log).unwrap();
    let status = shell.end_within(PATIENCE);
    assert!(status.is_some_and(|status| status.success()), "it goes on though nobody reads: {}", shell.output());
    assert_eq!(shell.output().lines().count(), 1, "{}", shell.output());
    assert!(!user.path("profile-linker/dev-connection.json").exists());
}
