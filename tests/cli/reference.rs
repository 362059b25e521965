//! `docs/reference/commands.md`: made of the definitions that the program reads its arguments by.

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use profile_linker::cli::{Cli, Exit};

const HEAD: &str = "\
# The commands

Made of the program's own definitions; a test checks that it has not drifted. `profile-linker COMMAND --help` tells the same.

Every command takes `--config FILE`, `--output text|json` (json: one object a line on standard output, logs on standard error)
and `--yes`. None prints a token.

| exit code | meaning |
|---|---|
EXIT CODES
A failure tells what, where and what to do.
";

fn page() -> String {
    let mut program = Cli::command();
    program.build();
    let code = |exit: Exit| format!("| {} | {} |\n", exit.code(), exit.meaning());
    let mut page = HEAD.replace("EXIT CODES", &Exit::ALL.map(code).concat());
    for command in program.get_subcommands() {
        section(&mut page, command, "profile-linker");
    }
    page
}

fn section(page: &mut String, command: &Command, parent: &str) {
    if command.get_name() == "help" {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## `{name}`\n\n{about}.\n");
    let own =
        command.get_arguments().filter(|one| !one.is_global_set() && one.get_id() != "help" && !one.is_hide_set());
    let rows: Vec<String> = own.map(row).collect();
    if !rows.is_empty() {
        let _ = write!(page, "\n| argument | meaning |\n|---|---|\n{}\n", rows.join("\n"));
    }
    for example in examples(command) {
        let _ = write!(page, "\n```\n{example}\n```\n");
    }
    command.get_subcommands().for_each(|one| section(page, one, &name));
}

fn row(one: &clap::Arg) -> String {
    let value = one.get_value_names().map(|names| names.join(" ")).filter(|_| one.get_action().takes_values());
    let name = match (one.get_long(), value) {
        (Some(long), Some(value)) => format!("--{long} {value}"),
        (Some(long), None) => format!("--{long}"),
        (None, value) => value.unwrap_or_default(),
    };
    let help = one.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = one.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if defaults.is_empty() || !one.get_action().takes_values() {
        String::new()
    } else {
        format!(" (default: `{}`)", defaults.join(" "))
    };
    format!("| `{}` | {help}{default} |", name.replace('|', "\\|"))
}

fn examples(command: &Command) -> Vec<String> {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    after.lines().map(str::trim).filter(|line| line.starts_with("profile-linker ")).map(str::to_owned).collect()
}

/// With `PROFILE_LINKER_TEST_WRITE_DOCS` set, the page is written instead of compared.
#[test]
fn the_page_of_the_commands_has_not_drifted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/commands.md");
    if std::env::var_os("PROFILE_LINKER_TEST_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page(), "run `PROFILE_LINKER_TEST_WRITE_DOCS=1 cargo test --test cli the_page_of_the_commands`");
}
