//! `dlq show`: what, where, why, and what a replay would do. Never a token.

use super::View;
use super::selection::{Selection, States};
use super::shown::{as_json, customer, event_id, origin, time};
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::text::escaped;
use crate::domain::timeline;
use crate::ledger::{AuditFilter, AuditFrom, AuditLine, DeadLetter, LetterState, Story};

/// So many are shown; more is a list.
const MOST: usize = 20;
/// Acts shown of each.
const ACTS: usize = 20;

/// Show a dead letter: what, where, why, its timeline, who did what to it, and what a replay would do
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker dlq show order-4711 --config worker.toml")]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// In these states only
    #[arg(long, value_enum, default_value = "all")]
    pub(super) state: States,
    /// Ask the dead-letter topic, not the ledger: for a ledger that is lost
    #[arg(long)]
    pub(super) from_topic: bool,
}

/// Shows.
///
/// # Errors
/// There is none (1), or the ledger is unreachable (69).
pub async fn execute(args: &Args, desk: &View, shell: &Shell) -> anyhow::Result<Exit> {
    let filter = args.selection.filter(desk, args.state.states()).await?;
    let mut found = desk.letters.page(&filter, None, MOST + 1).await.map_err(|error| desk.failed(&error))?;
    let is_all = found.len() <= MOST;
    found.truncate(MOST);
    if found.is_empty() {
        return Err(Failure::new(Exit::Failed, format!("{} holds no such dead letter", desk.holder))
            .at(&desk.place)
            .fix("`profile-linker dlq list --state all` shows what there is; one that was linked by a replay is none any more")
            .into());
    }
    for letter in &found {
        let (story, acts) = known(letter, desk).await?;
        shell.line(&as_json(letter, &desk.topic), || as_text(letter, story.as_ref(), &acts, &desk.topic))?;
    }
    if !is_all {
        shell.warn(&format!(
            "only the first {MOST} are shown; `profile-linker dlq list --state {}` with the same selection lists all, and `dlq show EVENT_ID` shows one",
            args.state.name()
        ));
    }
    Ok(Exit::Done)
}

async fn known(letter: &DeadLetter, desk: &View) -> Result<(Option<Story>, Vec<AuditLine>), Failure> {
    let failed = |error| desk.failed(&error);
    let story = desk.letters.story(letter.key).await.map_err(failed)?;
    let target = AuditFilter { target: Some(format!("{:?}", letter.key)), ..AuditFilter::default() };
    let mut acts = desk.letters.audit(&target, AuditFrom::Latest, ACTS).await.map_err(failed)?;
    acts.reverse();
    Ok((story, acts))
}

fn as_text(letter: &DeadLetter, story: Option<&Story>, acts: &[AuditLine], topic: &str) -> String {
    let name = event_id(letter).map_or_else(|| "a record without an identity".to_owned(), escaped);
    let source = letter.identity.as_ref().map(|one| format!(" from {}", escaped(&one.source))).unwrap_or_default();
    let mut lines = vec![format!("{name}{source}: {} (generation {})", letter.state.as_str(), letter.generation)];
    let mut say = |what: &str, told: String| lines.push(format!("  {what:<10} {told}"));
    say("why", format!("{} at {}", letter.reason, letter.stage));
    say("customer", customer(letter.customer.as_ref()));
    say("record", format!("{}, of {}", escaped(&origin(letter, topic)), time(letter.timestamp)));
    say("ended", time(letter.dead_lettered_at));
    let calls = letter.attempts;
    say("calls", format!("convert {}, link {}, look-up {}", calls.convert, calls.link, calls.lookup));
    if let Some(story) = story {
        say("accepted", time(story.accepted_at));
        if let Some(at) = story.first_failed_at {
            say("failed", format!("first at {}", time(at)));
        }
        if let Some(id) = &story.replaces {
            say("edited", format!("it took the place of {}", escaped(id)));
        }
        if story.is_replaced {
            let edited =
                story.replaced_by.as_ref().map_or_else(|| "an event that is gone since".to_owned(), |id| escaped(id));
            say("edited", format!("{edited} has its place"));
        }
    }
    for act in acts {
        let why = act.why.as_deref().map(|why| format!(": {}", escaped(why))).unwrap_or_default();
        say(&act.act, format!("{} by {}{why}", time(act.at), escaped(&act.actor)));
    }
    for entry in story.map(|story| timeline::read(&story.timeline)).unwrap_or_default() {
        let status = entry.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let (step, outcome) = (escaped(&entry.step), escaped(&entry.outcome));
        say("", format!("{}  {step:<16} {status:>3}  {:>6} ms  {outcome}", time(entry.at), entry.duration_ms));
    }
    say("a replay", would_do(letter, story).to_owned());
    lines.join("\n")
}

/// What a replay would do, as far as the row tells.
fn would_do(letter: &DeadLetter, story: Option<&Story>) -> &'static str {
    match (letter.state, letter.stage.as_str(), story) {
        (LetterState::Discarded, _, Some(Story { is_replaced: true, .. })) => {
            "passes over it: another event has its place"
        }
        (LetterState::Discarded, ..) => "passes over it, until it is restored",
        (LetterState::Replaying, ..) => "is under way",
        (_, "decode" | "validate", _) => {
            "reads the record again: it ends so again, unless this build reads more than the one before"
        }
        (.., Some(story)) if story.converted => {
            "keeps the permanent token, looks whether the profile is there, and links it if it is not"
        }
        _ if letter.reason == "conversion_unknown" => {
            "tries the conversion once more: it ends so again if the token is used"
        }
        // The token, if there was a conversion, was in the ledger only.
        (.., None) if letter.attempts.convert > 0 => {
            "looks whether the profile is there, and if it is not, converts again: a used token ends as conversion_unknown"
        }
        _ if letter.attempts.link > 0 => "looks whether the profile is there, and links it if it is not",
        // What only the topic tells counts as possibly sent.
        (.., story) if story.is_none_or(|story| story.possibly_sent) => {
            "looks whether the profile is there, then converts and links it if it is not"
        }
        _ => "goes a new event's way: converts and links; a temporary token that died meanwhile ends it for good",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Attempts, EventIdentity, EventKey, Lane};

    fn letter(reason: &str, stage: &str) -> DeadLetter {
        DeadLetter {
            key: EventKey([7; 16]),
            state: LetterState::DeadLettered,
            generation: 1,
            identity: None,
            lane: Lane(0),
            offset: 17,
            timestamp: 1_763_719_000_000,
            topic: None,
            customer: None,
            reason: reason.to_owned(),
            stage: stage.to_owned(),
            attempts: Attempts::default(),
            dead_lettered_at: 1_763_719_000_001,
            accepted_at: 0,
        }
    }

    fn story(converted: bool) -> Story {
        let timeline = "1763719000000 loanpro.link unknown 504 12\n".to_owned();
        Story {
            accepted_at: 1,
            first_failed_at: Some(2),
            possibly_sent: false,
            converted,
            timeline,
            replaces: None,
            is_replaced: false,
            replaced_by: None,
        }
    }

    #[test]
    fn what_a_replay_would_do_depends_on_what_is_known() {
        let told = |letter: &DeadLetter, converted| would_do(letter, Some(&story(converted)));
        assert!(told(&letter("invalid_event", "validate"), false).contains("ends so again"));
        assert!(told(&letter("retries_exhausted", "link"), true).contains("keeps the permanent token"));
        assert!(told(&letter("conversion_unknown", "convert"), false).contains("once more"));
        assert!(told(&letter("retries_exhausted", "convert"), false).contains("a new event's way"));
        let discarded = DeadLetter { state: LetterState::Discarded, ..letter("retries_exhausted", "link") };
        assert!(told(&discarded, true).contains("restored"));
        // Also once the edited event is gone: it is older by its own end, and may be purged first.
        let replaced = Story { is_replaced: true, ..story(true) };
        assert!(would_do(&discarded, Some(&replaced)).contains("another event has its place"));
        assert!(as_text(&discarded, Some(&replaced), &[], "t").contains("an event that is gone since has its place"));
    }

    #[test]
    fn a_dead_letter_steers_no_terminal_and_tells_its_story() {
        let identity = Some(EventIdentity { source: "urn:\u{202e}test".to_owned(), id: "a\u{1b}[2Jb".to_owned() });
        let letter = DeadLetter { identity, ..letter("retries_exhausted", "link") };
        let act = AuditLine {
            number: 1,
            at: 1,
            actor: "ada".to_owned(),
            act: "replay".to_owned(),
            target: String::new(),
            event_id: None,
            why: Some("mended".to_owned()),
        };
        let text = as_text(&letter, Some(&story(true)), &[act], "t");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        for part in ["a\\u001b[2Jb", "retries_exhausted at link", "by ada: mended", "loanpro.link", "504", "t/0/17"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
