//! Leaving the group, whatever the worker still owes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use profile_linker::config::{Delivery, Kafka, Topics};
use profile_linker::contract::results::OutputMode;
use profile_linker::kafka::consumer::KafkaSource;
use profile_linker::kafka::{Source, SourceEvent};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::parts::RealParts;
use crate::support::patience::eventually;

crate::cases! {
    no_membership_counts_while_a_rebalance_is_unanswered needs [Kafka];
    a_consumer_leaves_although_its_last_rebalance_was_never_answered needs [Kafka];
}

/// Long beside a rebalance and a leave, short beside for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cycle that is stuck with a broker that is away keeps the worker from answering; its stop must end all the same.
async fn a_consumer_leaves_although_its_last_rebalance_was_never_answered(parts: &RealParts) {
    let topic = Uuid::new_v4().to_string();
    parts.kafka().create_topic(&topic, 2).await;
    let settings = settings(parts.kafka().brokers(), &topic);
    let (source, mut events) = KafkaSource::start(&settings).expect("a consumer");
    let SourceEvent::Assigned(partitions) = rebalance(&mut events).await else {
        panic!("partitions are assigned first")
    };
    let starts: Vec<_> = partitions.iter().map(|partition| (*partition, None)).collect();
    source.assign(&starts).expect("the assignment is answered");
    let (other, _others_events) = KafkaSource::start(&settings).expect("another consumer");
    let revoked = rebalance(&mut events).await;
    assert!(matches!(revoked, SourceEvent::Revoked { .. }), "the other wants its share");
    let (source, other) = (leaves(source).await, leaves(other).await);
    assert!(source && other, "a consumer never leaves");
}

/// What is ours is known only when the rebalance is answered; and a rebalance that changes nothing has a new generation.
async fn no_membership_counts_while_a_rebalance_is_unanswered(parts: &RealParts) {
    let topic = Uuid::new_v4().to_string();
    parts.kafka().create_topic(&topic, 2).await;
    let settings = settings(parts.kafka().brokers(), &topic);
    let (source, mut events) = KafkaSource::start(&settings).expect("a consumer");
    assigned(&source, &mut events, 2).await;
    let (other, mut others_events) = KafkaSource::start(&settings).expect("another consumer");
    let others_share = assigned(&other, &mut others_events, 1);
    let share_is_given = give_a_share(&source, &mut events);
    tokio::join!(others_share, share_is_given);
}

async fn give_a_share(source: &Arc<KafkaSource>, events: &mut UnboundedReceiver<SourceEvent>) {
    let SourceEvent::Revoked { partitions, lost: false } = rebalance(events).await else {
        panic!("the other wants its share")
    };
    assert!(source.group().is_none(), "the revocation is not answered");
    source.unassign(&partitions).expect("the revocation is answered");
    assigned(source, events, 0).await;
}

/// Answers assignments until one gives so many partitions; no membership counts before an answer.
async fn assigned(source: &Arc<KafkaSource>, events: &mut UnboundedReceiver<SourceEvent>, count: usize) {
    loop {
        let SourceEvent::Assigned(partitions) = rebalance(events).await else { panic!("partitions are assigned") };
        assert!(source.group().is_none(), "the assignment is not answered");
        let starts: Vec<_> = partitions.iter().map(|partition| (*partition, None)).collect();
        source.assign(&starts).expect("the assignment is answered");
        if partitions.len() == count {
            // Not at once: one that brings nothing is followed by another as soon as the other has its share.
            eventually("a membership counts", PATIENCE, async || source.group().map(drop)).await;
            return;
        }
    }
}

/// On a thread of its own: a runtime would wait for a client that never leaves, and the test would hang, not fail.
async fn leaves(source: Arc<KafkaSource>) -> bool {
    let (left, has_left) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(source.close());
        // Nobody listens where it took too long.
        let _ = left.send(());
    });
    timeout(PATIENCE, has_left).await.is_ok()
}

/// The next thing that the consumer waits for an answer to.
async fn rebalance(events: &mut UnboundedReceiver<SourceEvent>) -> SourceEvent {
    let next = async {
        loop {
            let event = events.recv().await.expect("the consumer goes on");
            if matches!(event, SourceEvent::Assigned(_) | SourceEvent::Revoked { .. }) {
                return event;
            }
        }
    };
    timeout(PATIENCE, next).await.expect("a rebalance")
}

fn settings(brokers: &str, topic: &str) -> Kafka {
    let topics = Topics {
        created: topic.to_owned(),
        linked: format!("{topic}-linked"),
        rejected: format!("{topic}-rejected"),
        dead_letter: format!("{topic}-dlq"),
    };
    Kafka {
        brokers: brokers.to_owned(),
        group: topic.to_owned(),
        topics,
        delivery: Delivery::Transactional,
        output_mode: OutputMode::Structured,
        properties: BTreeMap::new(),
        password_file: None,
    }
}
