//! `keys generate`: a key that seals tokens at rest; `keys rotate`: from one key to the next.

mod rotate;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::exit::{Exit, Failure};
use super::shell::{Shell, print};
use crate::config::KEY_LENGTH;

/// Make keys that seal tokens at rest, and change from one to the next
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker keys generate --out k1.key")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key: 32 random bytes in base64 on one line
    #[command(after_help = "Example:\n  profile-linker keys generate --out k1.key")]
    Generate {
        /// Write it to this new file, readable by its owner only, instead of printing it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Seal what older keys have sealed anew under the active one, while workers run; a run that was cut short goes on
    #[command(after_help = "Example:\n  profile-linker keys rotate --config worker.toml --why yearly\n\n\
        Every worker must have the new key, and seal with it, before. A SQLite ledger serves one process: end its worker first.")]
    Rotate {
        /// Why, for the audit table
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
}

impl Args {
    /// What is to be done when nobody reads the output any more; `again`: what a rotation says.
    pub fn rest(&self, again: &'static str) -> Option<&'static str> {
        match &self.command {
            Command::Generate { out: Some(_) } => Some("the key is in its file, if that is there"),
            Command::Generate { out: None } => Some("make another key: nobody has this one"),
            Command::Rotate { .. } => Some(again),
        }
    }
}

/// Makes a key, or seals anew.
///
/// # Errors
/// The file is there already or cannot be written, or the system gives no random bytes; see [`rotate::execute`].
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    match args.command {
        Command::Generate { out } => make(out, shell),
        Command::Rotate { why } => rotate::execute(why, shell).await,
    }
}

fn make(out: Option<PathBuf>, shell: &Shell) -> anyhow::Result<Exit> {
    match out {
        Some(path) => {
            write_new(&path)?;
            shell.line(&serde_json::json!({ "file": path }), || format!("wrote {}", path.display()))?;
        }
        None if shell.is_json() => {
            let line = generate()?;
            shell.line(&serde_json::json!({ "key": line.trim_end() }), String::new)?;
        }
        None => print(generate()?.as_bytes())?,
    }
    Ok(Exit::Done)
}

/// Makes a key and writes it into a new file.
///
/// # Errors
/// The file exists or cannot be written.
pub(super) fn write_new(path: &Path) -> anyhow::Result<()> {
    Ok(write(path, &generate()?)?)
}

fn generate() -> anyhow::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
    SysRng.try_fill_bytes(bytes.as_mut())?;
    Ok(Zeroizing::new(format!("{}\n", BASE64.encode(bytes.as_ref()))))
}

fn write(path: &Path, line: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(line.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        let failure =
            Failure::new(Exit::Failed, format!("the key was not written: {error}")).at(path.display().to_string());
        let exists = error.kind() == ErrorKind::AlreadyExists;
        let advice = "name a new file: what an old key sealed opens with that key only";
        if exists { failure.fix(advice) } else { failure.fix("name a file in a directory that can be written") }
    })
}
