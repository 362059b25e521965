//! `--wait`: each event's result, by the (source, id) that it names.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::earlier::{self, Identity};
use super::input::{Draft, count};
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
    endpoint: Endpoint,
    follower: Follower,
    awaited: HashSet<Identity>,
    rejected: usize,
}

impl Waiting {
    /// Takes the ends of the result topics. Call it before publishing.
    ///
    /// # Errors
    /// The broker is unreachable (69), or a topic is not there (1).
    pub async fn prepare(endpoint: &Endpoint, drafts: &[Draft]) -> Result<Self, Failure> {
        let topics = [endpoint.topics.linked.as_str(), endpoint.topics.rejected.as_str()];
        let follower = Follower::new(endpoint, &topics, Start::End).await?;
        let identity = |draft: &Draft| Some((draft.text_at("/source")?.to_owned(), draft.text_at("/id")?.to_owned()));
        let awaited = drafts.iter().filter_map(identity).collect();
        Ok(Self { endpoint: endpoint.clone(), follower, awaited, rejected: 0 })
    }

    /// Prints each result as it comes, and after a while those that were there before; exit 1 if one was a rejection.
    ///
    /// # Errors
    /// Not all came in time (75), or the broker is unreachable (69).
    pub async fn finish(mut self, limit: Duration, shell: &Shell) -> anyhow::Result<Exit> {
        let until = Instant::now() + limit;
        let all = self.awaited.len();
        let endpoint = self.endpoint.clone();
        let mut earlier = std::pin::pin!(earlier::results(&endpoint, self.awaited.clone()));
        let mut looked = false;
        while !self.awaited.is_empty() {
            tokio::select! {
                biased;
                record = self.follower.next() => self.take(&record?, shell)?,
                found = &mut earlier, if !looked => {
                    looked = true;
                    self.take_earlier(&found?, shell)?;
                }
                () = sleep_until(until) => return Err(self.missing(limit).into()),
            }
        }
        shell.note(&format!("{} linked, {} rejected", all - self.rejected, self.rejected));
        Ok(if self.rejected == 0 { Exit::Done } else { Exit::Failed })
    }

    fn take(&mut self, record: &Record, shell: &Shell) -> anyhow::Result<()> {
        let awaited = earlier::identity(record).is_some_and(|identity| self.awaited.remove(&identity));
        if awaited {
            self.rejected += usize::from(record.text("/type") == Some(PROFILE_REJECTED));
            shell.line(record, || text::line(record))?;
        }
        Ok(())
    }

    fn take_earlier(&mut self, found: &[Record], shell: &Shell) -> anyhow::Result<()> {
        let before = self.awaited.len();
        for record in found {
            self.take(record, shell)?;
        }
        let had = before - self.awaited.len();
        if had > 0 {
            shell.note(&format!("{} had a result before, and gets no second one", count(had)));
        }
        Ok(())
    }

    fn missing(&self, limit: Duration) -> Failure {
        let mut ids: Vec<&str> = self.awaited.iter().map(|(_, id)| id.as_str()).collect();
        ids.sort_unstable();
        let what = format!("no result for {} within {}", count(ids.len()), crate::config::format_duration(limit));
        let named: Vec<String> = ids.iter().take(NAMED).map(|id| text::escaped(id)).collect();
        let failure = Failure::new(Exit::TryAgain, what).at(named.join(", "));
        failure.fix(
            "they may still come: see `profile-linker watch`, and `profile-linker ledger show` for how far one got",
        )
    }
}
