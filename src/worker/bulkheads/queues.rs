//! The events that wait to call one upstream.
//!
//! What ends begun work goes before what begins: after an outage thousands wait to link, and the look that one of them still
//! needs must not stand behind all others' links, or nothing ends until everything is linked. Links do not starve of it: each
//! is followed by a bounded number of looks, and one that fails waits elsewhere before it is asked for again.

use std::collections::VecDeque;

use super::Standing;
use crate::domain::EventKey;
use crate::domain::machine::Effect;

/// A probe is looked for among so many of each queue.
const PROBE_CHOICE: usize = 256;

/// Two queues, each in the order of asking. A link that becomes a look while it waits keeps its place.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// Looks, checks of customers and promotions: what ends begun work.
    finishing: VecDeque<EventKey>,
    /// Conversions and links.
    beginning: VecDeque<EventKey>,
    /// Whether the last call began something.
    began: bool,
}

impl Queues {
    pub fn push(&mut self, key: EventKey, effect: &Effect) {
        let begins = matches!(effect, Effect::Convert | Effect::Link);
        let queue = if begins { &mut self.beginning } else { &mut self.finishing };
        queue.push_back(key);
    }

    pub fn len(&self) -> usize {
        self.finishing.len() + self.beginning.len()
    }

    pub fn is_empty(&self) -> bool {
        self.finishing.is_empty() && self.beginning.is_empty()
    }

    /// Takes one out that is called for now.
    pub fn remove(&mut self, key: EventKey) {
        for (begins, queue) in [(false, &mut self.finishing), (true, &mut self.beginning)] {
            if let Some(place) = queue.iter().position(|queued| *queued == key) {
                queue.remove(place);
                self.began = begins;
                return;
            }
        }
    }

    pub fn retain(&mut self, keep: impl Fn(&EventKey) -> bool) {
        self.finishing.retain(&keep);
        self.beginning.retain(&keep);
    }

    /// Whose turn it is.
    pub fn first(&mut self, standing: &impl Fn(&EventKey) -> Standing) -> Option<EventKey> {
        self.pass_over_gone(standing);
        self.finishing.front().or(self.beginning.front()).copied()
    }

    /// Who is to find out whether the upstream is back. An event that never failed tells more: what one alone gets wrong must
    /// not hold the breaker open. And so does what begins: a look that finds nothing says little, as a wrong tenant would. As a
    /// last resort the queues take turns: what fails is asked for again and again, and would be all that is ever tried.
    pub fn probe(&mut self, standing: &impl Fn(&EventKey) -> Standing) -> Option<EventKey> {
        self.pass_over_gone(standing);
        let by_worth = [&self.beginning, &self.finishing];
        let fresh = |queue: &VecDeque<EventKey>| {
            let mut choice = queue.iter().take(PROBE_CHOICE);
            choice.find(|key| standing(key) == Standing::Fresh).copied()
        };
        let in_turn = if self.began { [&self.finishing, &self.beginning] } else { by_worth };
        let any = || in_turn.into_iter().find_map(|queue| queue.front().copied());
        by_worth.into_iter().find_map(fresh).or_else(any)
    }

    fn pass_over_gone(&mut self, standing: &impl Fn(&EventKey) -> Standing) {
        for queue in [&mut self.finishing, &mut self.beginning] {
            while queue.front().is_some_and(|key| standing(key) == Standing::Gone) {
                queue.pop_front();
            }
        }
    }
}
