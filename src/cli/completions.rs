//! `completions`: shell completions.

use clap::CommandFactory;

use super::exit::Exit;
use super::shell::print;

/// Print a shell's completions
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker completions bash > /etc/bash_completion.d/profile-linker")]
pub struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints them. They are made in memory first, since the generator does not survive a closed pipe.
///
/// # Errors
/// The output is closed.
pub fn execute(args: Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "profile-linker", &mut script);
    print(&script)?;
    Ok(Exit::Done)
}
