//! `dlq replay --edit`: one dead letter's event, mended by a person, takes its place.

mod editor;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use self::editor::Draft;
use super::Desk;
use super::selection::Selection;
use super::shown::{event_id, origin_json};
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::signals::Signals;
use crate::cli::system;
use crate::cli::text::{escaped, escaped_lines};
use crate::config::Config;
use crate::contract::PROFILE_CREATED;
use crate::dead_letters::{Edit, EditError, EditFault, Looked, Opener, look};
use crate::domain::System;
use crate::ledger::{Act, DeadLetter, HashKey, LetterState};
use crate::upstream::probe::with_sources;
use crate::upstream::{LookUp, link_target};

/// How much later than its last possible call a look is certain: whoever dead-lettered it told the ledger at once.
const MARGIN: Duration = Duration::from_secs(5);
/// An event is far smaller: a record has a megabyte at most.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// What is asked for.
pub struct Asked<'a> {
    pub selection: &'a Selection,
    /// The edited event; `None`: it is opened in `$EDITOR`.
    pub file: Option<&'a Path>,
    pub act: Act,
}

/// Edits.
///
/// # Errors
/// It is not allowed (78), not exactly one is selected or there is no reason (2), the edited event is not valid (65), the file is
/// not there (66), it must not be edited or its profile is there (1), the link target cannot be asked (69).
pub async fn execute(asked: Asked<'_>, desk: &Desk, config: &Config, shell: &Shell) -> anyhow::Result<Exit> {
    require_permission(config, &asked.act)?;
    let Some(letter) = the_only_one(asked.selection, desk).await? else {
        return nothing_done(shell, None);
    };
    let vault = system::vault(config)?;
    let failed = |error| desk.failed(&error);
    let identity = desk.ledger.identity().await.map_err(failed)?;
    let hash_key = HashKey::open(&identity, &vault)
        .map_err(|error| Failure::new(Exit::BadConfig, error.to_string()).at("[keys]"))?;
    let opener = Opener { topic: desk.topic.clone(), vault };
    let Some(row) = desk.ledger.row(letter.key).await.map_err(failed)? else {
        return nothing_done(shell, None);
    };
    let edit = Edit::open(letter.clone(), row, &opener).map_err(|error| refused(&error))?;
    if let Some(look_up) = edit.look_up().map_err(|error| refused(&error))? {
        require_absent(&look_up, &letter, desk, config).await?;
    }
    let edited = Edited::get(&edit, asked.file).await?;
    if edit.is_unchanged(&edited.text) {
        return nothing_done(shell, Some("unchanged: nothing was done"));
    }
    let replacement = match edit.replacement(&edited.text, &opener, &hash_key) {
        Ok(replacement) => replacement,
        Err(fault) => return Err(edited.faulty(&fault).into()),
    };
    let name = event_id(&letter).map_or_else(|| "the dead letter".to_owned(), escaped);
    if !shell.confirm(&format!("put the edited event in the place of {name}?"))? {
        return Ok(Exit::Interrupted);
    }
    let is_done = match desk.letters.replace(&replacement, &asked.act).await {
        Ok(is_done) => is_done,
        Err(error) => return Err(edited.lost(desk.failed(&error)).into()),
    };
    tell(&letter, &replacement.identity.id, is_done, desk, shell)
}

fn require_permission(config: &Config, act: &Act) -> Result<(), Failure> {
    if !config.dead_letters.allow_edit {
        return Err(Failure::new(Exit::BadConfig, "dead letters may not be edited here")
            .at("dead_letters.allow_edit")
            .fix("set allow_edit = true under [dead_letters]: whoever may run this command may then change what is linked to whom"));
    }
    if act.why.as_deref().is_none_or(|why| why.trim().is_empty()) {
        return Err(Failure::new(Exit::Usage, "an edit needs a reason").fix("say --why"));
    }
    Ok(())
}

async fn the_only_one(selection: &Selection, desk: &Desk) -> Result<Option<DeadLetter>, Failure> {
    let filter = selection.filter(desk, &[LetterState::DeadLettered]).await?;
    let mut found = desk.letters.page(&filter, None, 2).await.map_err(|error| desk.failed(&error))?;
    if found.len() > 1 {
        return Err(Failure::new(Exit::Usage, "more than one dead letter is selected; they are edited one by one")
            .fix("name one by its event id, or by --origin"));
    }
    Ok(found.pop())
}

fn nothing_done(shell: &Shell, why: Option<&str>) -> anyhow::Result<Exit> {
    if let Some(why) = why {
        shell.note(why);
    }
    shell.line(&json!({"replayed": 0, "skipped": 0}), || "replayed 0, skipped 0".to_owned())?;
    Ok(Exit::Done)
}

fn tell(letter: &DeadLetter, id: &str, is_done: bool, desk: &Desk, shell: &Shell) -> anyhow::Result<Exit> {
    let (action, done) = if is_done { ("replayed", 1) } else { ("skipped", 0) };
    let (told, generation) = if is_done { (Some(id), 1) } else { (event_id(letter), letter.generation) };
    if shell.is_json() {
        let place = origin_json(letter, &desk.topic);
        let mut line = json!({"eventId": told, "origin": place, "generation": generation, "action": action});
        if is_done {
            line["replaces"] = json!(event_id(letter));
        }
        shell.line(&line, String::new)?;
    } else if is_done {
        shell.line(&(), || format!("the edited event is {id}"))?;
    } else {
        shell.note("skipped: somebody else replayed or discarded it");
    }
    let json = json!({"replayed": done, "skipped": 1 - done});
    shell.line(&json, || format!("replayed {done}, skipped {}", 1 - done))?;
    Ok(Exit::Done)
}

fn refused(error: &EditError) -> Failure {
    let fix = match error {
        EditError::Unreadable => "put the key under [keys], or discard it",
        EditError::NotEditable(_) => "discard it, and publish the event anew",
        EditError::NothingToLookFor => "replay it unedited",
    };
    Failure::new(Exit::Failed, error.to_string()).fix(fix)
}

/// The event's own link must not be there, for sure: the edited one could not tell it from a stranger's.
async fn require_absent(look_up: &LookUp, letter: &DeadLetter, desk: &Desk, config: &Config) -> Result<(), Failure> {
    let system = look_up.customer.system;
    let table = format!("[target.{}]", system.as_str());
    let made = link_target(&config.target, system);
    let made = made.map_err(|error| Failure::new(Exit::BadConfig, with_sources(&error)).at(table.clone()))?;
    let Some(target) = made else {
        return Err(Failure::new(Exit::BadConfig, "its link may have been sent, and its target cannot be asked")
            .at(table)
            .fix("configure it as for the workers"));
    };
    let age = desk.letters.now_ms().await.map_err(|error| desk.failed(&error))?.saturating_sub(letter.dead_lettered_at);
    let needed = certain_after(config, system);
    // Where the ledger's clock was put back since, nothing is known of the time that has passed.
    if u64::try_from(age).map_or(Duration::ZERO, Duration::from_millis) < needed {
        return Err(Failure::new(Exit::TryAgain, "its link may still be under way")
            .fix(format!("try again {} s after it was dead-lettered", needed.as_secs())));
    }
    let (exit, what, fix) = match look(&*target, look_up).await {
        Looked::Absent => return Ok(()),
        Looked::Found(id) => (
            Exit::Failed,
            format!("its profile is there already, as {}", escaped(&id)),
            "replay it unedited: it then ends as linked; or remove the profile",
        ),
        Looked::Unsure(detail) => (
            Exit::Unavailable,
            format!("its link may have been sent, and whether it is there cannot be told: {}", escaped(&detail)),
            "try again when the target answers",
        ),
        Looked::Misconfigured(detail) => (
            Exit::BadConfig,
            format!("its link may have been sent, and its target refuses us: {}", escaped(&detail)),
            "correct this table; `profile-linker check` tells more",
        ),
    };
    Err(Failure::new(exit, what).at(table).fix(fix))
}

/// When the last call of the event must have ended, and its effect be visible.
fn certain_after(config: &Config, system: System) -> Duration {
    let loanpro = config.target.loanpro.as_ref().map(|one| one.upstream.timeout + one.look.settle);
    let aloha = config.target.aloha.as_ref().map(|one| one.upstream.timeout + one.look.settle);
    let longest = match system {
        System::Loanpro => loanpro,
        System::Aloha => aloha,
    };
    longest.unwrap_or_default() + MARGIN
}

/// The event as a person left it.
struct Edited {
    text: String,
    place: PathBuf,
    draft: Option<Draft>,
}

impl Edited {
    async fn get(edit: &Edit, file: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = file {
            return Ok(Self { text: read(path)?, place: path.to_owned(), draft: None });
        }
        let editor = std::env::var("EDITOR").ok().filter(|editor| !editor.trim().is_empty()).ok_or_else(|| {
            Failure::new(Exit::Usage, "no editor is set")
                .fix("set EDITOR, or name the edited event's file: --edit FILE")
        })?;
        // From here on the file is removed however this ends, but for a kill.
        let mut signals = Signals::listen().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let draft = Draft::write(&escaped_lines(&edit.shown()))?;
        let text = draft.edit(&editor, &mut signals).await?;
        Ok(Self { text, place: PathBuf::new(), draft: Some(draft) })
    }

    /// Where the person's work is kept.
    fn kept(self) -> String {
        self.draft.map_or(self.place, Draft::keep).display().to_string()
    }

    fn faulty(self, fault: &EditFault) -> Failure {
        let mut failure = Failure::new(Exit::BadInput, "the edited event is not valid; nothing was changed");
        let (violations, told) = match fault {
            EditFault::Kept(violations) => (violations, None),
            EditFault::Rejected(reason) => (&reason.violations, Some(format!("{} ({})", reason.detail, reason.code))),
        };
        for violation in violations {
            failure = failure.at(escaped(format!("{} {}", violation.pointer, violation.message).trim_start()));
        }
        if let (true, Some(told)) = (violations.is_empty(), told) {
            failure = failure.at(told);
        }
        failure.fix(format!(
            "correct it in {} and give it with --edit FILE; `profile-linker schema show {PROFILE_CREATED}` prints what is allowed",
            self.kept()
        ))
    }

    fn lost(self, failure: Failure) -> Failure {
        failure.fix(format!("start the command again with --edit {}: whatever was done is done once", self.kept()))
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |exit, what: String| {
        Failure::new(exit, what)
            .at(path.display().to_string())
            .fix("name the file of the edited event, one JSON object")
    };
    let length =
        std::fs::metadata(path).map_err(|error| failed(Exit::NoInput, format!("no such file: {error}")))?.len();
    if length > MAX_FILE_BYTES {
        return Err(failed(Exit::BadInput, format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(Exit::NoInput, format!("it cannot be read: {error}")))?;
    String::from_utf8(bytes).map_err(|_| failed(Exit::BadInput, "the file is not UTF-8 text".to_owned()))
}
