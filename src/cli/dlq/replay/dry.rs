//! What a replay would do, counted; nothing is changed.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::dlq::Desk;
use crate::cli::dlq::table::{self, Cell};
use crate::cli::exit::Exit;
use crate::cli::shell::Shell;
use crate::dead_letters::Replay;
use crate::ledger::DeadLetter;

const HEAD: [&str; 4] = ["WOULD REPLAY", "REASON", "TARGET", "AS GENERATION"];

/// What would be replayed, by reason, target and generation; and how much of what was selected could not be.
#[derive(Default)]
pub struct Counts {
    replayed: BTreeMap<(String, &'static str, i32), u64>,
    /// Their original does not open, or there is none.
    unreadable: u64,
}

/// Tells by reason; people also by target and generation.
///
/// # Errors
/// The ledger is unreachable (69).
pub async fn tell(replay: &mut Replay, desk: &Desk, shell: &Shell) -> anyhow::Result<Exit> {
    let mut counts = Counts::default();
    loop {
        let page = replay.candidates(usize::MAX).await.map_err(|error| desk.failed(&error))?;
        if page.is_empty() {
            break;
        }
        let unreadable = replay.unreadable(&page).await.map_err(|error| desk.failed(&error))?;
        counts.unreadable += unreadable.len() as u64;
        replay.count_in(page.len() - unreadable.len());
        page.iter().filter(|letter| !unreadable.contains(&letter.key)).for_each(|letter| counts.count(letter));
    }
    counts.print(shell)
}

impl Counts {
    /// None yet, beside so many that are unreadable.
    pub fn beside(unreadable: u64) -> Self {
        Self { unreadable, ..Self::default() }
    }

    /// One more.
    pub fn count(&mut self, letter: &DeadLetter) {
        let target = letter.customer.as_ref().map_or("-", |customer| customer.system.as_str());
        *self.replayed.entry((letter.reason.clone(), target, letter.generation + 1)).or_default() += 1;
    }

    /// Prints them.
    ///
    /// # Errors
    /// The output is closed.
    pub fn print(&self, shell: &Shell) -> anyhow::Result<Exit> {
        let Self { replayed: counts, unreadable } = self;
        let mut by_code: BTreeMap<&str, u64> = BTreeMap::new();
        for ((code, ..), count) in counts {
            *by_code.entry(code).or_default() += count;
        }
        if shell.is_json() {
            let mut json = json!({ "wouldReplay": by_code });
            if *unreadable > 0 {
                json["unreadable"] = json!(unreadable);
            }
            return shell.line(&json, String::new).map(|()| Exit::Done);
        }
        if counts.is_empty() {
            shell.note("nothing would be replayed");
        } else {
            let row = |((code, target, generation), count): (&(String, &str, i32), &u64)| -> [Cell; 4] {
                [count.to_string().into(), code.as_str().into(), (*target).into(), generation.to_string().into()]
            };
            let lines = table::lines(HEAD, counts.iter().map(row).collect());
            lines.into_iter().try_for_each(|line| shell.line(&(), || line))?;
        }
        if *unreadable > 0 {
            shell.line(&(), || format!("{unreadable} unreadable: they would stay as they are"))?;
        }
        Ok(Exit::Done)
    }
}
