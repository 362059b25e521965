//! `ledger show`: the timeline of one event.

use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::shell::Shell;
use super::system;
use crate::domain::timeline::{self, Entry};
use crate::ledger::{EventSummary, RowState};

/// What the ledger knows
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
}

/// Shows.
///
/// # Errors
/// The ledger is unreachable (69) or of another version (78).
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let Command::Show { event_id } = args.command;
    let config = shell.load()?;
    let place = crate::config::ledger_shown(config.ledger.url.expose_str().unwrap_or_default());
    let ledger = system::open_ledger(&config).await?;
    let found = ledger.find(&event_id).await.map_err(|error| system::ledger_failure(&error, &place))?;
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
    let accepted = Entry {
        at: event.accepted_at,
        step: "accept".to_owned(),
        outcome: "accepted".to_owned(),
        status: None,
        duration_ms: 0,
    };
    std::iter::once(accepted).chain(timeline::read(&event.timeline)).collect()
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
        event.identity.id,
        event.identity.source,
        state(event),
        event.generation,
    );
    let line = |entry: &Entry| {
        let status = entry.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let Entry { step, outcome, duration_ms, .. } = entry;
        format!("  {}  {step:<16} {status:>3}  {duration_ms:>6} ms  {outcome}", time(entry.at))
    };
    std::iter::once(head).chain(entries(event).iter().map(line)).collect::<Vec<_>>().join("\n")
}
