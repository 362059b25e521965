//! `dlq export --from-topic`: the `DeadLetter` events as they stand in the topic, in its order.

use std::collections::BTreeSet;

use super::Asked;
use super::read::{beginnings, event, place};
use crate::cli::backlog;
use crate::cli::broker::Reader;
use crate::cli::dlq::export;
use crate::cli::exit::Exit;
use crate::cli::shell::{Shell, print};
use crate::cli::text::escaped;
use crate::config::Config;
use crate::dead_letters::topic::Place;

/// Prints them, also those whose original does not open: who has the key can.
///
/// # Errors
/// As of every question to the topic.
pub async fn execute(args: &export::Args, config: &Config, shell: &Shell) -> anyhow::Result<Exit> {
    let asked = Asked::of(&args.selection, args.state, config, shell).await?;
    let selected = asked.reading.index.selected(&asked.filter).take(args.limit.unwrap_or(usize::MAX));
    let wanted: BTreeSet<Place> = selected.map(|one| one.place).collect();
    let endpoint = &asked.reading.endpoint;
    let (mut printed, mut count) = (Ok(()), 0);
    if !wanted.is_empty() {
        let topic = &endpoint.topics.dead_letter;
        let from = beginnings(&Reader::new(endpoint)?, topic).await?;
        backlog::read(endpoint, topic, &from, |message| {
            if printed.is_ok() && wanted.contains(&place(message)) {
                // It was read before, so it is an event.
                let Ok(record) = event(message) else { return };
                printed = print((escaped(&record.event.to_string()) + "\n").as_bytes());
                count += 1;
            }
        })
        .await?;
    }
    printed?;
    shell.note(&format!("exported {count}"));
    Ok(Exit::Done)
}
