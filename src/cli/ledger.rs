//! `ledger show`: the timeline of one event; `ledger erase`: what is known of one customer.

mod erase;

use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::shell::{BesideDev, Shell};
use super::system;
use super::text::escaped;
use crate::domain::timeline::{self, Entry};
use crate::ledger::{EventSummary, RowState};

/// What the ledger knows, and what it is to forget
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker ledger show order-4711 --config worker.toml")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The timeline of one event: every call, its status, how long it took, and what it meant
    #[command(after_help = "Example:\n  profile-linker ledger show order-4711 --config worker.toml")]
    Show {
        /// The event's CloudEvents id
        #[arg(value_name = "EVENT_ID")]
        event_id: String,
    },
    /// Erase what tells of one customer once all the customer's events have ended: tokens, records, ids, timelines. Audited
    #[command(
        after_help = "Example:\n  profile-linker ledger erase --customer loanpro:42 --why request-17 --yes --config worker.toml\n\n\
        It cannot be undone: a dead letter of the customer cannot be replayed any more. What tells duplicates stays: a digest\n\
        of each event's source and id, and of its payload. Topics and backups keep what they have for as long as they keep it."
    )]
    Erase {
        /// Whose: SYSTEM:ID, as loanpro:42
        #[arg(long, value_name = "SYSTEM:ID")]
        customer: erase::Named,
        /// Why, for the audit table; name the request, not the customer
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

impl Args {
    /// Whether the command changes something.
    pub fn changes_something(&self) -> bool {
        matches!(self.command, Command::Erase { .. })
    }
}

/// Shows, or erases.
///
/// # Errors
/// The ledger is unreachable (69) or of another version (78).
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let done = match args.command {
        Command::Show { event_id } => show(&event_id, shell).await,
        Command::Erase { customer, why } => erase::execute(customer, why, shell).await,
    };
    done.map_err(|error| shell.beside_dev(error, BesideDev::Wait))
}

async fn show(event_id: &str, shell: &Shell) -> anyhow::Result<Exit> {
    let config = shell.load()?;
    let place = crate::config::ledger_shown(config.ledger.url.expose_str().unwrap_or_default());
    let ledger = system::open_ledger(&config).await?;
    let found = ledger.find(event_id).await.map_err(|error| system::ledger_failure(&error, &place))?;
    if found.is_empty() {
        return Err(Failure::new(Exit::Failed, format!("the ledger holds no event with the id {event_id:?}"))
            .at(place)
            .fix("check the id; an event that the worker has not accepted yet is not in the ledger")
            .into());
    }
    for event in &found {
        shell.line(&as_json(event), || as_text(event))?;
    }
    Ok(Exit::Done)
}

/// Acceptance first, then what the worker wrote.
fn entries(event: &EventSummary) -> Vec<Entry> {
    let written = timeline::read(&event.timeline);
    let ended = if written.is_empty() { ended_at_once(event) } else { None };
    let accepted = step(event.accepted_at, "accept", "accepted".to_owned());
    std::iter::once(accepted).chain(written).chain(ended).collect()
}

/// What ended in the write that accepted it has no timeline: the row says it all.
fn ended_at_once(event: &EventSummary) -> Option<Entry> {
    let outcome = event.reason.as_ref().map_or_else(|| state(event).to_owned(), |code| format!("rejected:{code}"));
    Some(step(event.ended_at?, "end", outcome))
}

fn step(at: i64, step: &str, outcome: String) -> Entry {
    Entry { at, step: step.to_owned(), outcome, status: None, duration_ms: 0 }
}

fn state(event: &EventSummary) -> &'static str {
    match event.state {
        RowState::Accepted => "accepted",
        RowState::Converted => "converted",
        RowState::Linked => "linked",
        RowState::Rejected => "rejected",
        RowState::DeadLettered => "dead-lettered",
    }
}

fn time(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |time| format!("{time:.3}"))
}

fn as_json(event: &EventSummary) -> Value {
    let timeline: Vec<Value> = entries(event)
        .iter()
        .map(|entry| {
            json!({
                "at": time(entry.at),
                "step": entry.step,
                "outcome": entry.outcome,
                "status": entry.status,
                "durationMs": entry.duration_ms,
            })
        })
        .collect();
    json!({
        "eventId": event.identity.id,
        "source": event.identity.source,
        "state": state(event),
        "generation": event.generation,
        "timeline": timeline,
    })
}

fn as_text(event: &EventSummary) -> String {
    let customer = event.customer.as_ref();
    let customer = customer.map_or_else(|| "-".to_owned(), |one| format!("{}/{}", one.system.as_str(), one.id));
    let head = format!(
        "{} from {}: {} (generation {}, customer {customer})",
        escaped(&event.identity.id),
        escaped(&event.identity.source),
        state(event),
        event.generation,
    );
    let line = |entry: &Entry| {
        let status = entry.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let (step, outcome, duration_ms) = (escaped(&entry.step), escaped(&entry.outcome), entry.duration_ms);
        format!("  {}  {step:<16} {status:>3}  {duration_ms:>6} ms  {outcome}", time(entry.at))
    };
    std::iter::once(head).chain(entries(event).iter().map(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Attempts, EventIdentity, EventKey};

    fn event(id: &str, timeline: &str) -> EventSummary {
        EventSummary {
            identity: EventIdentity { source: "urn:\u{202e}test".to_owned(), id: id.to_owned() },
            key: EventKey([0; 16]),
            state: RowState::DeadLettered,
            generation: 1,
            attempts: Attempts::default(),
            customer: None,
            accepted_at: 1_763_719_000_000,
            ended_at: Some(1_763_719_000_001),
            reason: Some("invalid_event".to_owned()),
            timeline: timeline.to_owned(),
        }
    }

    #[test]
    fn an_event_that_ended_in_the_write_that_accepted_it_shows_its_end_once() {
        let at_once = as_json(&event("a", ""));
        let steps = at_once["timeline"].as_array().unwrap();
        assert_eq!((steps.len(), &steps[0]["step"]), (2, &json!("accept")));
        assert_eq!((&steps[1]["step"], &steps[1]["outcome"]), (&json!("end"), &json!("rejected:invalid_event")));
        let worked_on = "1763719000001 payiq.convert done 200 12\n1763719000002 end rejected:link_refused - 0\n";
        let worked_on = as_json(&event("a", worked_on));
        assert_eq!(worked_on["timeline"].as_array().unwrap().len(), 3, "{worked_on}");
    }

    #[test]
    fn an_id_that_would_turn_a_terminal_around_is_shown_escaped() {
        let text = as_text(&event("order\u{2066}4711\u{9b}", ""));
        assert!(text.starts_with("order\\u20664711\\u009b from urn:\\u202etest: dead-lettered"), "{text:?}");
    }
}
