//! `schema list|show`: the event schemas.

use super::exit::{Exit, Failure};
use super::shell::{Shell, print};
use crate::contract::schemas;

/// Show the event schemas
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker schema show payments.profile-created.v1")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the schemas by their CloudEvents type
    #[command(after_help = "Example:\n  profile-linker schema list")]
    List,
    /// Print one schema
    #[command(after_help = "Example:\n  profile-linker schema show payments.profile-created.v1 > profile-created.json")]
    Show {
        /// The CloudEvents type
        name: String,
    },
}

/// Lists or shows.
///
/// # Errors
/// There is no such schema (2), or the output is closed.
pub fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    match args.command {
        Command::List => list(shell)?,
        Command::Show { name } => show(&name)?,
    }
    Ok(Exit::Done)
}

fn list(shell: &Shell) -> anyhow::Result<()> {
    for schema in schemas::all() {
        shell.line(&serde_json::json!({ "name": schema.name }), || schema.name.to_owned())?;
    }
    Ok(())
}

fn show(name: &str) -> anyhow::Result<()> {
    let schema = schemas::find(name).ok_or_else(|| {
        let names: Vec<&str> = schemas::all().iter().map(|schema| schema.name).collect();
        let failure = Failure::new(Exit::Usage, format!("there is no schema {name:?}"));
        failure.fix(format!("name one of {}", names.join(", ")))
    })?;
    let text = schema.text.trim_end();
    print(format!("{text}\n").as_bytes())
}
