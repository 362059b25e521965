//! The order of one customer's events: links one after the other in input order, conversions of the next few ahead.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::{Customer, EventKey, Lane};

/// Conversions that run ahead of a customer's links: temporary tokens die, so they do not wait for an earlier link; more
/// than a few at once from one customer is a mistake somewhere.
pub(super) const RUN_AHEAD: usize = 8;

/// Every customer with unfinished events, by lane.
#[derive(Default)]
pub(super) struct Customers {
    queues: BTreeMap<(Lane, Customer), VecDeque<EventKey>>,
}

impl Customers {
    /// Puts an event behind its customer's others; answers whether it may begin now.
    pub fn push(&mut self, lane: Lane, customer: &Customer, key: EventKey) -> bool {
        let queue = self.queues.entry((lane, customer.clone())).or_default();
        queue.push_back(key);
        queue.len() <= RUN_AHEAD
    }

    /// Whether it is this event's turn to link.
    pub fn is_first(&self, lane: Lane, customer: &Customer, key: EventKey) -> bool {
        self.queues.get(&(lane, customer.clone())).and_then(VecDeque::front) == Some(&key)
    }

    /// Takes an event out; answers the events that may begin or have their turn now.
    pub fn remove(&mut self, lane: Lane, customer: &Customer, key: EventKey) -> Vec<EventKey> {
        let place = (lane, customer.clone());
        let Some(queue) = self.queues.get_mut(&place) else { return Vec::new() };
        queue.retain(|queued| *queued != key);
        let next = [queue.front(), queue.get(RUN_AHEAD - 1)].into_iter().flatten().copied().collect();
        if queue.is_empty() {
            self.queues.remove(&place);
        }
        next
    }

    /// The unfinished events of a customer, in their order.
    pub fn of(&self, lane: Lane, customer: &Customer) -> impl Iterator<Item = EventKey> {
        self.queues.get(&(lane, customer.clone())).into_iter().flatten().copied()
    }

    /// Forgets a lane.
    pub fn drop_lane(&mut self, lane: Lane) {
        self.queues.retain(|(of, _), _| *of != lane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::System;

    fn key(n: u8) -> EventKey {
        EventKey([n; 16])
    }

    #[test]
    fn links_follow_the_input_order_and_few_events_begin_ahead() {
        let customer = Customer { system: System::Loanpro, id: "1".to_owned() };
        let mut customers = Customers::default();
        let begun: Vec<bool> = (0..10).map(|n| customers.push(Lane(0), &customer, key(n))).collect();
        assert_eq!(begun.iter().filter(|begun| **begun).count(), RUN_AHEAD);
        assert!(customers.is_first(Lane(0), &customer, key(0)));
        assert!(!customers.is_first(Lane(0), &customer, key(1)));
        assert_eq!(customers.remove(Lane(0), &customer, key(0)), [key(1), key(8)]);
        assert!(customers.is_first(Lane(0), &customer, key(1)));
    }

    #[test]
    fn an_event_that_ends_behind_the_first_lets_one_more_begin_and_keeps_the_order() {
        let customer = Customer { system: System::Loanpro, id: "1".to_owned() };
        let mut customers = Customers::default();
        for n in 0..10 {
            customers.push(Lane(0), &customer, key(n));
        }
        assert!(customers.remove(Lane(0), &customer, key(3)).contains(&key(8)));
        assert!(customers.is_first(Lane(0), &customer, key(0)));
    }

    #[test]
    fn customers_of_two_systems_or_two_lanes_do_not_wait_for_each_other() {
        let of = |system| Customer { system, id: "1".to_owned() };
        let (loanpro, aloha) = (of(System::Loanpro), of(System::Aloha));
        let mut customers = Customers::default();
        customers.push(Lane(0), &loanpro, key(0));
        customers.push(Lane(0), &aloha, key(1));
        customers.push(Lane(1), &loanpro, key(2));
        assert!(customers.is_first(Lane(0), &aloha, key(1)));
        assert!(customers.is_first(Lane(1), &loanpro, key(2)));
        customers.drop_lane(Lane(0));
        assert!(!customers.is_first(Lane(0), &loanpro, key(0)));
        assert!(customers.is_first(Lane(1), &loanpro, key(2)));
    }

    proptest::proptest! {
        /// Whatever ends when: the first is the earliest unfinished, every event begins, and never too many at once.
        #[test]
        fn every_event_has_its_turn_in_input_order(ends in proptest::collection::vec(0_usize..RUN_AHEAD, 30)) {
            let customer = Customer { system: System::Aloha, id: "1".to_owned() };
            let mut customers = Customers::default();
            let mut unfinished: Vec<EventKey> = (0..30).map(key).collect();
            let mut begun: Vec<EventKey> =
                unfinished.iter().copied().filter(|key| customers.push(Lane(0), &customer, *key)).collect();
            for place in ends {
                let ended = begun.remove(place % begun.len());
                unfinished.retain(|key| *key != ended);
                for next in customers.remove(Lane(0), &customer, ended) {
                    if !begun.contains(&next) {
                        begun.push(next);
                    }
                }
                begun.sort();
                proptest::prop_assert_eq!(&begun[..], &unfinished[..unfinished.len().min(RUN_AHEAD)]);
                for key in &unfinished {
                    let is_first = customers.is_first(Lane(0), &customer, *key);
                    proptest::prop_assert_eq!(is_first, Some(key) == unfinished.first());
                }
            }
            proptest::prop_assert!(customers.queues.is_empty());
        }
    }
}
