//! `keys rotate`: what older keys have sealed is sealed anew under the active one, while workers run.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::system;
use crate::cli::text::counted;
use crate::config::ledger_shown;
use crate::ledger::Act;
use crate::ledger::rotation::{Rotated, Rotation, RotationError};

/// One step, as it is printed.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Step {
    step: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
}

/// Rotates.
///
/// # Errors
/// The ledger is unreachable (69) or a key is missing (78). Rows that do not open are told (1); rows that are still sealed
/// under another key when it ends want another run (75).
pub async fn execute(why: Option<String>, shell: &Shell) -> anyhow::Result<Exit> {
    let config = shell.load()?;
    config.require_keys()?;
    let place = ledger_shown(config.ledger.url.expose_str().unwrap_or_default());
    let vault = system::vault(&config)?;
    let ledger = system::open_ledger(&config).await?;
    let act = Act { actor: system::actor(), why };
    let rotation = Rotation { ledger: &*ledger, vault: &vault, topic: &config.kafka.topics.created, act: &act };
    let bar = progress(shell);
    let rotated = rotation
        .run(&|done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })
        .await;
    bar.finish_and_clear();
    let rotated = rotated.map_err(|error| failure(&error, &place))?;
    for step in steps(rotated) {
        shell.line(&step, || text(&step))?;
    }
    judge(rotated, vault.active(), &place)
}

fn steps(rotated: Rotated) -> [Step; 3] {
    let status = |done: bool| if done { "applied" } else { "present" };
    let rows = |step, rows| Step { step, status: status(rows > 0), rows: Some(rows) };
    // It comes when nothing else is left.
    let hash_key = if rotated.is_through() { status(rotated.hash_key) } else { "waiting" };
    let hash_key = Step { step: "hash key", status: hash_key, rows: None };
    [rows("records", rotated.records), rows("tokens", rotated.tokens), hash_key]
}

fn text(step: &Step) -> String {
    let rows =
        step.rows.map(|rows| format!(", {}", counted(usize::try_from(rows).unwrap_or(usize::MAX), "row", "rows")));
    format!("{}: {}{}", step.step, step.status, rows.unwrap_or_default())
}

/// What is left and does not open stays as it is for ever; what else is left, another run may do.
fn judge(rotated: Rotated, active: &str, place: &str) -> anyhow::Result<Exit> {
    let left = rotated.left;
    if left == 0 {
        return Ok(Exit::Done);
    }
    let what = format!("{left} rows are still sealed under another key than {active:?}");
    if !rotated.is_through() {
        return Err(Failure::new(Exit::TryAgain, what)
            .at(place)
            .fix("restart the workers that still seal under the old key, and run this again")
            .into());
    }
    Err(Failure::new(Exit::Failed, format!("{what}, and do not open"))
        .at(place)
        .fix(
            "configure their key if it is there still; kafka.topics.created must name the topic that the ledger serves",
        )
        .into())
}

fn failure(error: &RotationError, place: &str) -> Failure {
    match error {
        RotationError::Ledger(error) => system::ledger_failure(error, place),
        RotationError::MissingKey { key_id, .. } => system::missing_key(error.to_string(), key_id),
        RotationError::HashKey(_) => Failure::new(Exit::BadConfig, error.to_string())
            .at("[keys]")
            .fix("configure the key that this ledger was made with"),
    }
}

fn progress(shell: &Shell) -> ProgressBar {
    if !shell.shows_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    // A template that is wrong leaves the bar as it is by default.
    if let Ok(style) = ProgressStyle::with_template("sealing anew {bar:40} {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(rotated: Rotated) -> Exit {
        match judge(rotated, "k2", "a ledger") {
            Ok(exit) => exit,
            Err(error) => error.downcast_ref::<Failure>().map_or(Exit::Failed, |failure| failure.exit),
        }
    }

    #[test]
    fn what_is_left_is_told_and_what_never_opens_is_told_from_it() {
        assert_eq!(exit(Rotated { records: 3, hash_key: true, ..Rotated::default() }), Exit::Done);
        assert_eq!(exit(Rotated { left: 2, unopened: 1, ..Rotated::default() }), Exit::TryAgain);
        assert_eq!(exit(Rotated { left: 1, unopened: 1, ..Rotated::default() }), Exit::Failed);
    }

    #[test]
    fn each_step_says_whether_there_was_anything_to_do() {
        let [records, tokens, hash_key] = steps(Rotated { records: 2, ..Rotated::default() });
        assert_eq!(
            (text(&records), text(&tokens)),
            ("records: applied, 2 rows".into(), "tokens: present, 0 rows".into())
        );
        assert_eq!(text(&hash_key), "hash key: present");
        let [.., hash_key] = steps(Rotated { left: 1, ..Rotated::default() });
        assert_eq!(text(&hash_key), "hash key: waiting");
    }
}
