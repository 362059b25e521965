//! What the client says of its place in the group. The safe interface hides member and generation, so they are read from
//! the library below it.
//!
//! The client takes over a new generation as soon as it has joined, before it tells what that generation gives and takes
//! (seen on librdkafka 2.12.1, and tested). So the membership of the moment does not prove that everything it has
//! changed is known: [`Rebalances`] keeps the one under which the last rebalance was told, and whether it is answered.
#![expect(unsafe_code, reason = "member and generation are to be had from the C interface only")]

use std::ffi::CStr;

use rdkafka::bindings::{
    rd_kafka_consumer_group_metadata, rd_kafka_consumer_group_metadata_destroy,
    rd_kafka_consumer_group_metadata_generation_id, rd_kafka_consumer_group_metadata_member_id,
};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

/// A member of a group, in one of its generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The coordinator's name for it.
    pub member: String,
    /// Of the group.
    pub generation: i32,
}

impl Membership {
    /// What the client takes for its own now; `None` where it belongs to no generation of the group.
    #[must_use]
    pub fn of<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Self> {
        read(consumer).filter(Self::is_real)
    }

    /// An empty member and a negative generation are an outsider's: a broker takes their commits while a group is empty.
    fn is_real(&self) -> bool {
        !self.member.is_empty() && self.generation >= 0
    }
}

fn read<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Membership> {
    // SAFETY: the consumer keeps its client alive during the call, which any thread may make.
    let metadata = unsafe { rd_kafka_consumer_group_metadata(consumer.client().native_ptr()) };
    if metadata.is_null() {
        return None;
    }
    // SAFETY: not null, so it is a metadata object of our own until it is destroyed below; its member is a string that
    // lives as long, and is copied here.
    let membership = unsafe {
        let member = rd_kafka_consumer_group_metadata_member_id(metadata);
        (!member.is_null()).then(|| Membership {
            member: CStr::from_ptr(member).to_string_lossy().into_owned(),
            generation: rd_kafka_consumer_group_metadata_generation_id(metadata),
        })
    };
    // SAFETY: it is ours, and nothing refers to it any more.
    unsafe { rd_kafka_consumer_group_metadata_destroy(metadata) };
    membership
}

/// What is known of the group's rebalances.
#[derive(Debug, Default)]
pub struct Rebalances {
    /// The membership under which the last one was told; `None` if its partitions were lost.
    told: Option<Membership>,
    /// Told and not answered. Counted: the answer to one can bring the next before the one who answers has said so.
    open: u32,
}

impl Rebalances {
    /// A rebalance is told: until it is answered nobody knows what is ours.
    pub fn tell(&mut self, membership: Option<Membership>) {
        *self = Self { told: membership, open: self.open + 1 };
    }

    /// One is answered.
    pub fn answer(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// Whether a cycle may be put together under this membership.
    #[must_use]
    pub fn cover(&self, membership: &Membership) -> bool {
        self.open == 0 && membership.is_real() && self.told.as_ref() == Some(membership)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(member: &str, generation: i32) -> Membership {
        Membership { member: member.to_owned(), generation }
    }

    fn answered(member: &str, generation: i32) -> Rebalances {
        let mut rebalances = Rebalances::default();
        rebalances.tell(Some(membership(member, generation)));
        rebalances.answer();
        rebalances
    }

    #[test]
    fn a_membership_counts_once_its_rebalance_is_answered() {
        let mut rebalances = Rebalances::default();
        assert!(!rebalances.cover(&membership("a", 1)), "nothing was told yet");
        rebalances.tell(Some(membership("a", 1)));
        assert!(!rebalances.cover(&membership("a", 1)), "told, not answered");
        rebalances.answer();
        assert!(rebalances.cover(&membership("a", 1)));
    }

    #[test]
    fn an_answer_that_comes_late_does_not_answer_the_next_rebalance() {
        let mut rebalances = answered("a", 1);
        rebalances.tell(Some(membership("a", 2)));
        rebalances.tell(Some(membership("a", 3)));
        rebalances.answer();
        assert!(!rebalances.cover(&membership("a", 3)));
        rebalances.answer();
        assert!(rebalances.cover(&membership("a", 3)));
    }

    #[test]
    fn a_generation_newer_than_the_last_rebalance_does_not_count() {
        assert!(!answered("a", 1).cover(&membership("a", 2)));
    }

    #[test]
    fn an_outsider_counts_for_nothing() {
        assert!(!answered("", 1).cover(&membership("", 1)), "without a member");
        assert!(!answered("a", -1).cover(&membership("a", -1)), "without a generation");
    }

    #[test]
    fn after_a_loss_nothing_counts_until_partitions_are_given_again() {
        let mut rebalances = answered("a", 1);
        rebalances.tell(None);
        rebalances.answer();
        assert!(!rebalances.cover(&membership("a", 1)));
    }
}
