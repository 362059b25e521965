//! A text in a person's editor: a file that only they can read, and that is gone afterwards unless they need it still.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::Signals;

/// Readable and writable by its owner alone.
const MODE: u32 = 0o600;
/// An editor that was asked to end puts what it has aside, which takes a moment; whoever ends us waits about twice as long.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// The file. Dropped, it is removed.
pub struct Draft {
    path: PathBuf,
    is_kept: bool,
}

impl Draft {
    /// Makes it.
    ///
    /// # Errors
    /// It cannot be written (1).
    pub fn write(text: &str) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("profile-linker-edit-{}.json", uuid::Uuid::new_v4().simple()));
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path);
        let mut file = file.map_err(|error| unusable(&error, &path))?;
        let draft = Self { path, is_kept: false };
        file.write_all(text.as_bytes()).map_err(|error| unusable(&error, &draft.path))?;
        Ok(draft)
    }

    /// Waits until the editor has ended; answers what the file holds then. An interrupt is the editor's own affair; where this
    /// process is to end, the editor is ended first: it must not write the file again once that is removed.
    ///
    /// # Errors
    /// The editor cannot be started, fails (1), or a signal ends this process meanwhile (130).
    pub async fn edit(&self, editor: &str, signals: &mut Signals) -> Result<String, Failure> {
        let failed =
            |what: String| Failure::new(Exit::Failed, what).at("EDITOR").fix("nothing was changed; set EDITOR");
        // By a shell, as everywhere: the variable may hold options.
        let exec = if is_plain(editor) { "exec " } else { "" };
        let mut child = Command::new("sh")
            .args(["-c", &format!("{exec}{editor} \"$1\""), "sh"])
            .arg(&self.path)
            .spawn()
            .map_err(|error| failed(format!("no editor can be started: {error}")))?;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                exit = signals.next() => if exit != Exit::Interrupted {
                    end(&mut child).await;
                    return Err(Failure::new(Exit::Interrupted, "interrupted; nothing was changed"));
                },
            }
        };
        match status {
            Ok(status) if status.success() => {
                fs::read_to_string(&self.path).map_err(|error| unusable(&error, &self.path))
            }
            Ok(status) => Err(failed(format!("the editor failed ({status})"))),
            Err(error) => Err(failed(format!("the editor was lost: {error}"))),
        }
    }

    /// Leaves the file there.
    pub fn keep(mut self) -> PathBuf {
        self.is_kept = true;
        self.path.clone()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_kept {
            // It holds no secret; where it cannot be removed the folder is swept by the system.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether it is a program and its options, so that it can have the shell's process, and with it what is sent there. Anything else is
/// the shell's to understand; such an editor ends with its terminal only.
fn is_plain(editor: &str) -> bool {
    let is_usual = |one: char| one.is_alphanumeric() || " /._-+=,'\"".contains(one);
    let sets_a_variable = editor.split_whitespace().next().is_none_or(|first| first.contains('='));
    !sets_a_variable && editor.chars().all(is_usual)
}

/// Asks the editor to end, makes it, and waits for it.
async fn end(child: &mut Child) {
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(id) = id {
        // One that has ended by itself is found so below.
        let _ = kill_process(id, Signal::TERM);
    }
    if tokio::time::timeout(ENDS_WITHIN, child.wait()).await.is_err() {
        // A killed process ends; where it cannot be killed it has ended.
        let _ = child.kill().await;
    }
}

fn unusable(error: &io::Error, path: &Path) -> Failure {
    Failure::new(Exit::Failed, format!("the file to edit cannot be used: {error}"))
        .at(path.display().to_string())
        .fix("set TMPDIR to a folder that can be written")
}
