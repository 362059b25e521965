//! The same questions that a ledger answers, answered by the index.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::Index;
use crate::domain::EventKey;
use crate::ledger::{
    Act, AuditFilter, AuditFrom, AuditLine, DeadLetter, DeadLetterFilter, DeadLetterGroup, DeadLetterPlace,
    DeadLetters, Fate, LedgerError, Reopening, Replacement, StoredRow, Story,
};

/// What it answers to the acts of a ledger.
fn only_a_ledger() -> LedgerError {
    LedgerError::Unusable("the dead-letter topic is read only".to_owned())
}

/// Whether the filter admits a dead letter.
pub(super) fn admits(filter: &DeadLetterFilter, letter: &DeadLetter) -> bool {
    let fits = |wanted: &Option<String>, text: Option<&str>| wanted.as_deref().is_none_or(|one| Some(one) == text);
    let (customer, identity) = (letter.customer.as_ref(), letter.identity.as_ref());
    // A GUID's letters have two spellings.
    let same_customer = |wanted: &String| customer.is_some_and(|one| one.id.eq_ignore_ascii_case(wanted));
    filter.states.contains(&letter.state)
        && fits(&filter.reason, Some(&letter.reason))
        && fits(&filter.stage, Some(&letter.stage))
        && fits(&filter.customer_system, customer.map(|one| one.system.as_str()))
        && filter.customer_id.as_ref().is_none_or(same_customer)
        && fits(&filter.event_id, identity.map(|one| one.id.as_str()))
        && filter.since.is_none_or(|since| letter.dead_lettered_at >= since)
        && filter.until.is_none_or(|until| letter.dead_lettered_at <= until)
        && filter.place.is_none_or(|place| place == (letter.lane.0, letter.offset))
        && fits(&filter.place_topic, letter.topic.as_deref())
}

#[async_trait]
impl DeadLetters for Index {
    async fn now_ms(&self) -> Result<i64, LedgerError> {
        Ok(self.now)
    }

    async fn latest_ms(&self) -> Result<i64, LedgerError> {
        Ok(self.letters().map(|one| one.letter.dead_lettered_at).fold(self.now, i64::max))
    }

    /// Those that cannot be replayed are not among them: they are told apart.
    async fn page(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterPlace>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, LedgerError> {
        let is_behind = |key: &EventKey| self.letters.get(key).is_some_and(|one| Some(one.letter.place()) > after);
        let start = self.order.partition_point(|key| !is_behind(key));
        let letters = self.order[start..].iter().filter_map(|key| self.letters.get(key));
        let found = letters.filter(|one| one.fault.is_none() && admits(filter, &one.letter));
        Ok(found.take(limit).map(|one| one.letter.clone()).collect())
    }

    async fn stats(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetterGroup>, LedgerError> {
        let mut groups: BTreeMap<(&str, &str), Vec<&DeadLetter>> = BTreeMap::new();
        for one in self.letters().filter(|one| one.fault.is_none() && admits(filter, &one.letter)) {
            groups.entry((&one.letter.reason, &one.letter.stage)).or_default().push(&one.letter);
        }
        let mut groups: Vec<_> = groups.into_values().filter_map(|letters| group(&letters, self.now)).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        Ok(groups)
    }

    async fn discard(&self, _rows: &[Reopening], _act: &Act) -> Result<Vec<EventKey>, LedgerError> {
        Err(only_a_ledger())
    }

    async fn restore(&self, _rows: &[Reopening], _act: &Act) -> Result<Vec<EventKey>, LedgerError> {
        Err(only_a_ledger())
    }

    async fn replace(&self, _replacement: &Replacement, _act: &Act) -> Result<bool, LedgerError> {
        Err(only_a_ledger())
    }

    async fn fates(&self, _keys: &[EventKey]) -> Result<Vec<Fate>, LedgerError> {
        Err(only_a_ledger())
    }

    async fn rows(&self, _keys: &[EventKey]) -> Result<Vec<StoredRow>, LedgerError> {
        Err(only_a_ledger())
    }

    async fn story(&self, _key: EventKey) -> Result<Option<Story>, LedgerError> {
        Ok(None)
    }

    async fn write_act(&self, _name: &str, _target: &str, _act: &Act) -> Result<(), LedgerError> {
        Err(only_a_ledger())
    }

    async fn audit(&self, _: &AuditFilter, _: AuditFrom, _: usize) -> Result<Vec<AuditLine>, LedgerError> {
        Ok(Vec::new())
    }
}

fn group(letters: &[&DeadLetter], now: i64) -> Option<DeadLetterGroup> {
    let first = letters.first()?;
    let times = || letters.iter().map(|letter| letter.dead_lettered_at);
    // Another machine's clock may be ahead.
    let age = |at: i64| now.saturating_sub(at).max(0).unsigned_abs() / 1000;
    let customers: BTreeSet<_> = letters.iter().filter_map(|letter| letter.customer.as_ref()).collect();
    Some(DeadLetterGroup {
        reason: first.reason.clone(),
        stage: first.stage.clone(),
        count: letters.len() as u64,
        oldest_age_s: age(times().min()?),
        newest_age_s: age(times().max()?),
        customers: customers.len() as u64,
        example: letters.iter().filter_map(|letter| letter.identity.as_ref()).map(|identity| identity.id.clone()).min(),
    })
}
