//! `--wait`: each event's result, by the (source, id) that it names.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::input::{Draft, count};
use crate::cli::broker::Reader;
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::{Exit, Failure};
use crate::cli::follow::Follower;
use crate::cli::records::Record;
use crate::cli::shell::Shell;
use crate::cli::start::Start;
use crate::cli::text;
use crate::contract::PROFILE_REJECTED;

/// Ids named when results are missing; more would hide the advice.
const NAMED: usize = 5;

/// The results that are waited for.
pub struct Waiting {
    follower: Follower,
    awaited: HashSet<(String, String)>,
}

impl Waiting {
    /// Takes the ends of the result topics. Call it before publishing.
    ///
    /// # Errors
    /// The broker is unreachable (69), or a topic is not there (1).
    pub async fn prepare(endpoint: &Endpoint, drafts: &[Draft]) -> Result<Self, Failure> {
        let topics = [endpoint.topics.linked.as_str(), endpoint.topics.rejected.as_str()];
        let follower = Follower::new(Reader::new(endpoint)?, &topics, Start::End, endpoint.embedded).await?;
        let identity = |draft: &Draft| Some((draft.text_at("/source")?.to_owned(), draft.text_at("/id")?.to_owned()));
        Ok(Self { follower, awaited: drafts.iter().filter_map(identity).collect() })
    }

    /// Prints each result as it comes; exit 1 if one was a rejection.
    ///
    /// # Errors
    /// Not all came in time (75), or the broker is unreachable (69).
    pub async fn finish(mut self, limit: Duration, shell: &Shell) -> anyhow::Result<Exit> {
        let until = Instant::now() + limit;
        let mut rejected = 0;
        let all = self.awaited.len();
        while !self.awaited.is_empty() {
            let Ok(record) = timeout_at(until, self.follower.next()).await else {
                return Err(self.missing(limit).into());
            };
            let record = record?;
            if self.is_awaited(&record) {
                rejected += usize::from(record.text("/type") == Some(PROFILE_REJECTED));
                shell.line(&record, || text::line(&record))?;
            }
        }
        shell.note(&format!("{} linked, {rejected} rejected", all - rejected));
        Ok(if rejected == 0 { Exit::Done } else { Exit::Failed })
    }

    fn is_awaited(&mut self, record: &Record) -> bool {
        let named = (record.text("/data/created/source"), record.text("/data/created/id"));
        let (Some(source), Some(id)) = named else { return false };
        self.awaited.remove(&(source.to_owned(), id.to_owned()))
    }

    fn missing(&self, limit: Duration) -> Failure {
        let mut ids: Vec<&str> = self.awaited.iter().map(|(_, id)| id.as_str()).collect();
        ids.sort_unstable();
        let what = format!("no result for {} within {}", count(ids.len()), crate::config::format_duration(limit));
        let failure = Failure::new(Exit::TryAgain, what).at(ids[..ids.len().min(NAMED)].join(", "));
        failure.fix("they may still come: see `profile-linker watch`, and `profile-linker ledger show` for how far one got. An event that had its result before gets no second one")
    }
}
