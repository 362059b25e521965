//! `man`: the manual page.

use std::io::Write;

use clap::CommandFactory;

use super::exit::Exit;

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
    for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
        clap_mangen::Man::new(one.clone()).render(&mut page)?;
    }
    std::io::stdout().write_all(&page)?;
    Ok(Exit::Done)
}
