//! `dlq replay --from-topic`: originals out of the topic, published to the input topic as the next generation of their events.
//!
//! What was published may be published again: the intake of a worker takes a generation once. So the command may end anywhere
//! and be started again; what has ended meanwhile it leaves out, and the rest changes nothing.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::audit::Book;
use super::fetch::Fetch;
use super::read::Reading;
use super::results::Heard;
use super::send::{Sender, Sent};
use super::unreadable::Unreadable;
use super::{Asked, States};
use crate::cli::broker::Reader;
use crate::cli::dlq::rate::Pace;
use crate::cli::dlq::replay::Args;
use crate::cli::dlq::replay::advice::Source;
use crate::cli::dlq::replay::dry::Counts;
use crate::cli::dlq::replay::progress::Progress;
use crate::cli::dlq::replay::steps::{Batch, End, Steps, Tally, act_as_json, climb, straight};
use crate::cli::dlq::shown::{event_id, origin};
use crate::cli::dlq::stop::Stop;
use crate::cli::exit::Exit;
use crate::cli::shell::Shell;
use crate::cli::text::{counted, escaped};
use crate::cli::{endpoint::Endpoint, system};
use crate::config::Config;
use crate::dead_letters::Results;
use crate::dead_letters::topic::{Letter, original};
use crate::domain::EventKey;
use crate::ledger::{Act, DeadLetter};

/// Replays.
///
/// # Errors
/// The replayed ones fail again (1), the broker is unreachable (69), a key file cannot be used (78); a signal ends it with 130.
pub async fn execute(args: Args, config: &Config, shell: &Shell) -> anyhow::Result<Exit> {
    let endpoint = Endpoint::of_config(config.kafka.clone());
    let mut heard = if args.ramp { Some(Heard::from_now(&endpoint).await?) } else { None };
    let asked = Asked::of(&args.selection, States::DeadLettered, config, shell).await?;
    let limit = args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let selected = asked.reading.index.selected(&asked.filter).filter(|one| one.fault.is_none());
    if args.dry_run {
        let mut counts = Counts::beside(asked.unreadable.len());
        let would: Vec<&DeadLetter> = selected.take(limit).map(|one| &one.letter).collect();
        would.iter().for_each(|letter| counts.count(letter));
        let end = counts.print(shell)?;
        note_conversions(&would, shell);
        return Ok(end);
    }
    let ahead: VecDeque<EventKey> = selected.map(|one| one.letter.key).collect();
    if let Some(heard) = &mut heard {
        let index = &asked.reading.index;
        heard.expect(ahead.iter().filter_map(|key| index.get(*key)).map(|one| &one.letter), index);
    }
    let count = ahead.len().min(limit);
    let told = counted(count, "dead letter", "dead letters");
    if count > 0 && !shell.confirm(&format!("publish the originals of {told} to the input topic again?"))? {
        return Ok(Exit::Interrupted);
    }
    // From here on a signal ends it between two batches; before, at once.
    let mut stop = Stop::listen()?;
    let topic = &endpoint.topics.created;
    let Some(partitions) = stop.or(Reader::new(&endpoint)?.partitions(topic)).await else {
        return Tally::default().finish(Ok(End::Interrupted), Source::Topic, topic, shell);
    };
    let run = Run {
        partitions: partitions?.into_iter().collect(),
        fetch: Fetch::new(&endpoint)?,
        sender: Sender::new(&endpoint)?,
        progress: Progress::new(count as u64, shell),
        pace: Pace::new(args.rate),
        tally: Tally::default(),
        heard,
        reading: Arc::clone(&asked.reading),
        shell,
        ahead,
        left: limit,
    };
    let act = Act { actor: args.by.clone().unwrap_or_else(system::actor), why: args.why.clone() };
    run.through(&asked.unreadable, &mut stop, &Book::of(act, config, shell)).await
}

/// A permanent token that is lost with its ledger is not in the topic: who counts on a replay is to know.
fn note_conversions(would: &[&DeadLetter], shell: &Shell) {
    let converted = would.iter().filter(|letter| letter.attempts.convert > 0).count();
    if converted > 0 {
        shell.note(&format!(
            "{converted} of them were sent to be converted before: no permanent token is known here, so where there is no profile yet they are converted again, and a used token ends as conversion_unknown"
        ));
    }
}

/// What was done with a dead letter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// Published.
    Replayed,
    /// Its partition is not in the input topic.
    NoPartition,
    /// Its original is gone, or is not what the dead letter tells of.
    Unreadable,
}

struct Run<'a> {
    reading: Arc<Reading>,
    shell: &'a Shell,
    ahead: VecDeque<EventKey>,
    /// How many more may be published.
    left: usize,
    partitions: BTreeSet<i32>,
    fetch: Fetch,
    sender: Sender,
    progress: Progress,
    pace: Pace,
    tally: Tally,
    /// Who listens for the results of a ramp's steps.
    heard: Option<Heard>,
}

impl Steps for Run<'_> {
    async fn batch(&mut self, most: usize, stop: &mut Stop) -> anyhow::Result<Option<Batch>> {
        let most = most.min(self.left).min(self.ahead.len());
        if most == 0 {
            return Ok(Some(Batch { tried: 0, replayed: Vec::new() }));
        }
        if stop.or(self.pace.wait()).await.is_none() {
            return Ok(None);
        }
        let size = self.pace.batch().min(most);
        let keys: Vec<EventKey> = self.ahead.drain(..size).collect();
        let letters: Vec<Letter> = keys.iter().filter_map(|key| self.reading.index.get(*key).cloned()).collect();
        let places: Vec<_> = letters.iter().map(|one| one.original).collect();
        let Some(events) = stop.or(self.fetch.events(&places)).await else { return Ok(None) };
        let events = events?;
        let (mut originals, mut taken) = (Vec::with_capacity(size), Vec::with_capacity(size));
        for one in &letters {
            let Reading { index, vault, .. } = &*self.reading;
            let found = events.get(&one.original).and_then(|event| original(event, one, index, vault));
            taken.push(match found {
                _ if !self.partitions.contains(&one.letter.lane.0) => Taken::NoPartition,
                None => Taken::Unreadable,
                Some(original) => {
                    originals.push(original);
                    Taken::Replayed
                }
            });
        }
        let mut sent = Sent::default();
        let is_answered = stop.after(self.sender.send(&originals, &mut sent)).await.is_some();
        let Sent { acknowledged, failure } = sent;
        self.pace.went(letters.len());
        let (mut replayed, mut acknowledged, mut told) = (Vec::new(), acknowledged.into_iter(), Ok(()));
        for (one, taken) in letters.into_iter().zip(taken) {
            // What was published is told and counted, whatever became of the rest, and of who is told.
            if taken == Taken::Replayed && acknowledged.next() != Some(true) {
                continue;
            }
            told = told.and(self.tell(&one.letter, taken));
            if taken == Taken::Replayed {
                replayed.push(one.letter);
            }
        }
        self.progress.at(self.tally.all());
        self.left -= replayed.len();
        told?;
        if !is_answered {
            self.progress.warn("the broker did not answer for all of them: what it has got is a duplicate next time");
            return Ok(None);
        }
        failure.map_or(Ok(Some(Batch { tried: size, replayed })), |failure| Err(failure.into()))
    }

    async fn results(&mut self, step: &[DeadLetter], stop: &mut Stop) -> anyhow::Result<Option<Results>> {
        match &mut self.heard {
            Some(heard) => Ok(heard.of(step, &self.progress, stop).await?),
            None => Ok(Some(Results::default())),
        }
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }
}

impl Run<'_> {
    /// To its end, between two lines of the audit; also where it failed half-way, since what it did is done.
    async fn through(mut self, unreadable: &Unreadable, stop: &mut Stop, book: &Book<'_>) -> anyhow::Result<Exit> {
        let count = self.ahead.len().min(self.left);
        let is_begun = count > 0 && book.begun(count, stop).await;
        let end = if self.heard.is_some() { climb(&mut self, stop).await } else { straight(&mut self, stop).await };
        self.progress.finish();
        if is_begun || self.tally.done > 0 {
            book.ended(self.tally.done, stop).await;
        }
        self.tally.unreadable += unreadable.len();
        // A reader that has gone is told of by what comes next.
        let told = unreadable.skipped(self.shell);
        let end = end.and_then(|end| told.map(|()| end));
        self.tally.finish(end, Source::Topic, &self.reading.endpoint.topics.created, self.shell)
    }

    /// For scripts a line each; people are told by name what was not done.
    fn tell(&mut self, letter: &DeadLetter, taken: Taken) -> anyhow::Result<()> {
        let (count, action, generation) = match taken {
            Taken::Replayed => (&mut self.tally.done, "replayed", letter.generation + 1),
            Taken::NoPartition => (&mut self.tally.skipped, "skipped", letter.generation),
            Taken::Unreadable => (&mut self.tally.unreadable, "skipped", letter.generation),
        };
        *count += 1;
        let topic = &self.reading.endpoint.topics.created;
        if self.shell.is_json() {
            let json = act_as_json(letter, topic, action, generation);
            return self.shell.line(&json, String::new);
        }
        let name = escaped(&event_id(letter).map_or_else(|| origin(letter, topic), str::to_owned));
        match taken {
            Taken::Replayed => {}
            Taken::NoPartition => self.progress.say(&format!(
                "skipped {name}: {topic} has no partition {}; give it as many as it had, then start this again",
                letter.lane.0
            )),
            Taken::Unreadable => self.progress.say(&format!("unreadable {name}: its original is gone, or another")),
        }
        Ok(())
    }
}
