//! `man`: the manual page.

use clap::CommandFactory;

use super::exit::Exit;
use super::shell::print;

/// Print the manual page, every command included
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker man > profile-linker.1 && man ./profile-linker.1")]
pub struct Args {}

/// Prints it.
///
/// # Errors
/// The output is closed.
pub fn execute(_args: Args) -> anyhow::Result<Exit> {
    let mut command = super::Cli::command();
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    page.extend_from_slice(exit_status().as_bytes());
    for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
        clap_mangen::Man::new(one.clone()).render(&mut page)?;
    }
    print(&page)?;
    Ok(Exit::Done)
}

/// The section that manual pages have about exit codes.
fn exit_status() -> String {
    let code = |exit: Exit| format!(".TP\n{}\n{}\n", exit.code(), exit.meaning());
    format!(".SH \"EXIT STATUS\"\n{}", Exit::ALL.map(code).concat())
}
