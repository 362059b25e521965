//! Under which membership a cycle may be put together.

use profile_linker::kafka::membership::{Membership, Rebalances};
use profile_linker::kafka::{Position, Source, SourceEvent};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::patience::eventually;
use crate::place::{PATIENCE, Place};

/// The reason for [`Rebalances`]: were it otherwise, asking the client would be enough.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_takes_a_new_generation_over_before_it_tells_what_changes() {
    let place = Place::new(2);
    let quiet = joined(&place).await;
    let first = Membership::of(&quiet).expect("it belongs to the group");
    let mut told = Rebalances::default();
    told.tell(Some(first.clone()));
    told.answer();
    assert!(told.cover(&first));
    let _other = place.consumer();
    // Nothing polls the quiet one, so nothing is told to it; its generation changes all the same.
    let newer = eventually("a newer generation", PATIENCE, async || {
        Membership::of(&quiet).filter(|now| now.generation > first.generation)
    });
    let newer = newer.await;
    assert!(!told.cover(&newer), "what it changes is not known yet");
}

/// A consumer that has its partitions and is polled no more.
async fn joined(place: &Place) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &place.settings.brokers).set("group.id", &place.settings.group);
    config.set("partition.assignment.strategy", "cooperative-sticky").set("heartbeat.interval.ms", "100");
    config.set("session.timeout.ms", "6000");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    consumer.subscribe(&[&place.settings.topics.created]).expect("a subscription");
    let assigned = eventually("an assignment", PATIENCE, async || {
        drop(consumer.poll(std::time::Duration::from_millis(10)));
        (consumer.assignment().expect("an answer").count() == 2).then_some(())
    });
    assigned.await;
    consumer
}

#[tokio::test(flavor = "multi_thread")]
async fn no_membership_counts_before_its_assignment_is_answered() {
    let place = Place::new(2);
    let mut member = place.consumer();
    assert!(member.source.group().is_none(), "before it has joined");
    let SourceEvent::Assigned(partitions) = member.rebalance().await else { panic!("partitions come first") };
    assert!(member.source.group().is_none(), "the assignment is not answered");
    member.assign(&partitions);
    assert!(member.source.group().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_lost_nothing_is_committed() {
    let place = Place::new(1);
    let mut member = place.assigned_consumer().await;
    let position = Position { partition: 0, offset: 5, metadata: "cursor".to_owned() };
    member.source.commit(&[position]).await.expect("a member commits");
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
    place.cluster.request_errors(RDKafkaApiKey::Heartbeat, &[unknown]);
    let SourceEvent::Revoked { lost: true, .. } = member.rebalance().await else { panic!("the group lost it") };
    assert!(member.source.group().is_none());
    let position = Position { partition: 0, offset: 9, metadata: "late".to_owned() };
    let refused = member.source.commit(&[position]).await.expect_err("nothing is ours");
    assert!(refused.to_string().contains("nothing is committed"), "{refused}");
    let stands = member.source.committed(&[0]).await.expect("the position");
    assert_eq!((stands[0].offset, stands[0].metadata.as_str()), (Some(5), "cursor"));
}
