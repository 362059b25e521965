//! `config`: the effective configuration.

use super::exit::Exit;
use super::shell::{Shell, print};

/// Print the effective configuration, secrets redacted, with the origin of each value
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker config --config worker.toml --output json")]
pub struct Args {
    /// Print the reference of all keys (Markdown) instead
    #[arg(long, conflicts_with = "schema")]
    reference: bool,
    /// Print the JSON Schema of the file, for editors, instead
    #[arg(long)]
    schema: bool,
}

/// Prints it, and then what is wrong with it.
///
/// # Errors
/// The configuration has problems (78), or the output is closed.
pub fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    if args.reference {
        print(crate::config::reference().as_bytes())?;
        return Ok(Exit::Done);
    }
    if args.schema {
        print(crate::config::schema().as_bytes())?;
        return Ok(Exit::Done);
    }
    let reading = shell.reading();
    for line in reading.effective() {
        shell.line(&line, || format!("{} = {}  ({})", line.key, line.value, line.origin))?;
    }
    reading.config()?;
    Ok(Exit::Done)
}
