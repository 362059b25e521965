//! Commands that need no service.

use clap::CommandFactory;
use profile_linker::cli::{Cli, Exit};

use crate::bench::{Bench, text};

#[test]
fn every_command_has_a_help_with_an_example() {
    let bench = Bench::new();
    let mut paths = Vec::new();
    collect(&Cli::command(), &mut Vec::new(), &mut paths);
    assert!(paths.len() > 10, "{paths:?}");
    for path in paths {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let ended = bench.run(&arguments);
        assert_eq!(ended.code, 0, "{path:?}");
        assert!(ended.out.contains("Example"), "{path:?} has no example");
        assert!(ended.out.contains("profile-linker "), "{path:?}");
    }
}

/// The paths of all commands, the bare program among them.
pub fn collect(command: &clap::Command, at: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    paths.push(at.clone());
    for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
        at.push(one.get_name().to_owned());
        collect(one, at, paths);
        at.pop();
    }
}

#[test]
fn wrong_arguments_are_exit_2_and_say_what_is_meant() {
    let bench = Bench::new();
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage"),
        (&["wach"], "watch"),
        (&["watch", "--output", "xml"], "json"),
        (&["watch", "--reason", "nonsense"], "token_rejected"),
        (&["watch", "--type", "nonsense"], "payments.profile-linked.v1"),
        (&["watch", "--from", "yesterday"], "RFC 3339"),
        (&["watch", "--from", "@9999999999d"], "RFC 3339"),
        (&["watch", "--from", "@1969-12-31T23:59:59Z"], "not before 1970"),
        (&["publish", "--sample", "0"], "1000000"),
        (&["publish", "--wait", "--timeout", "soon", "x"], "60s"),
        (&["schema", "show", "nonsense"], "payments.profile-created.v1"),
        (&["sandbox", "--strict", "nonsense"], "name=value"),
        (&["dlq", "list", "--reason", "nonsense"], "token_rejected"),
        (&["dlq", "stats", "--stage", "nonsense"], "validate"),
        (&["dlq", "list", "--since", "yesterday"], "RFC 3339"),
        (&["dlq", "show", "--origin", "3/17"], "topic/partition/offset"),
        (&["dlq", "replay", "--rate", "fast"], "50/s"),
    ];
    for (arguments, said) in cases {
        let ended = bench.run(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
        assert!(ended.err.contains(said), "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{arguments:?}");
    }
}

#[test]
fn the_schemas_are_listed_and_shown_as_they_are() {
    let bench = Bench::new();
    let listed = bench.run(&["schema", "list"]);
    assert_eq!(listed.out.lines().count(), 4);
    let as_json = bench.run(&["schema", "list", "--output", "json"]);
    assert_eq!(as_json.lines()[0]["name"], "payments.profile-created.v1");
    for name in listed.out.lines() {
        let shown = bench.run(&["schema", "show", name]);
        let schema: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
    }
}

#[test]
fn a_key_is_32_random_bytes_on_one_line_and_no_file_is_overwritten() {
    let bench = Bench::new();
    let (first, second) = (bench.run(&["keys", "generate"]), bench.run(&["keys", "generate"]));
    assert_ne!(first.out, second.out);
    let bytes = data_encoding::BASE64.decode(first.out.strip_suffix('\n').unwrap().as_bytes()).unwrap();
    assert_eq!(bytes.len(), 32);

    let as_json = bench.run(&["keys", "generate", "--output", "json"]);
    let key = as_json.lines()[0]["key"].as_str().unwrap().to_owned();
    assert_eq!(data_encoding::BASE64.decode(key.as_bytes()).unwrap().len(), 32, "{}", as_json.out);

    let path = bench.directory.path().join("k1.key");
    let made = bench.run(&["keys", "generate", "--out", text(&path)]);
    assert_eq!(made.code, 0);
    let line = std::fs::read_to_string(&path).unwrap();
    assert!(!made.out.contains(line.trim()), "the key was printed");
    let again = bench.run(&["keys", "generate", "--out", text(&path)]);
    assert_eq!(again.code, 1);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), line);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn completions_and_the_manual_page_know_the_commands() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish"] {
        let ended = bench.run(&["completions", shell]);
        assert!(ended.code == 0 && ended.out.contains("publish"), "{shell}");
    }
    let page = bench.run(&["man"]);
    assert!(
        page.out.starts_with(".ie") && page.out.contains("publish") && page.out.contains("event\\-id"),
        "{}",
        page.out
    );
    let (_, codes) = page.out.split_once(".SH \"EXIT STATUS\"").expect("manual pages have that section");
    for exit in Exit::ALL {
        assert!(codes.contains(&format!(".TP\n{}\n{}\n", exit.code(), exit.meaning())), "{exit:?}: {codes}");
    }
}

/// A device that takes nothing.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_told_with_what_to_do() {
    let bench = Bench::new();
    let commands: [&[&str]; 8] = [
        &["config"],
        &["config", "--reference"],
        &["man"],
        &["completions", "bash"],
        &["schema", "list"],
        &["schema", "show", "payments.profile-created.v1"],
        &["keys", "generate"],
        &["--help"],
    ];
    for arguments in commands {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = bench.command(arguments).stdout(full).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains("standard output") && told.contains("to do: make room"), "{arguments:?}: {told}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_command_quietly() {
    let bench = Bench::new();
    let mut command = bench.command(&["config", "--reference"]);
    let mut child = command.spawn().unwrap();
    // Closed before anything is read: the first write fails.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn the_sandbox_prints_its_address_and_ends_when_it_is_told_to() {
    use std::io::{BufRead, BufReader};
    let bench = Bench::new();
    let mut child = bench.command(&["sandbox", "--listen", "127.0.0.1:0", "--output", "json"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address = said["address"].as_str().unwrap();
    std::net::TcpStream::connect(address).unwrap();
    let ended = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(ended.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
