//! `docs/tutorial.md`, done as it says: its blocks are run, in their order, by one shell.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::bench::Bench;
use crate::running::Running;

/// The blocks of a page that are marked with this word.
fn blocks(page: &str, mark: &str) -> Vec<String> {
    let opening = format!("```{mark}\n");
    page.split(&opening).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

/// A shell in which `profile-linker` is the program under test, and nothing of the machine's is configured.
fn shell(bench: &Bench, script: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_profile-linker")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-euc", script]).current_dir(bench.directory.path()).env_clear();
    command.env("PATH", path).env("XDG_STATE_HOME", bench.directory.path()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn the_tutorial_leads_to_a_processed_payment() {
    let page = include_str!("../../docs/tutorial.md");
    let bench = Bench::new();
    let start = blocks(page, "first-terminal");
    assert_eq!(start.len(), 1);
    let dev = Running::start(shell(&bench, &format!("exec {}", start[0]))).says("Ctrl-C ends");
    let steps = blocks(page, "sh");
    assert!(steps.len() >= 6, "{}", steps.len());
    let output = shell(&bench, &steps.join("\n")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("\"kind\":\"process\""), "a payment was pulled from the account:\n{out}\n{err}");
    assert!(out.contains("tutorial-1: account "), "the event was linked:\n{out}\n{err}");
    assert!(out.contains("token_rejected") && out.contains("exit code 1"), "a used token is refused:\n{out}\n{err}");
    drop(dev);
}
