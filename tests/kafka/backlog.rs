//! A worker that does not keep up: what was fetched stays bounded, and rebalances are heard.

use std::time::Duration;

use profile_linker::kafka::{Source, SourceEvent};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::patience::eventually;
use crate::place::{PATIENCE, Place};

/// Ten times what the channel may hold.
const RECORDS: usize = 40_000;
/// The limit of records, and the batch that reaches it.
const MOST: usize = 4_000 + 500;

async fn fill(place: &Place) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &place.settings.brokers).set("linger.ms", "5");
    let producer: FutureProducer = config.create().expect("a producer");
    let value = b"ten bytes.".to_vec();
    let mut last = None;
    for _ in 0..RECORDS {
        let record: FutureRecord<'_, (), Vec<u8>> =
            FutureRecord::to(&place.settings.topics.created).payload(&value).partition(0);
        last = Some(producer.send_result(record).map_err(|(error, _)| error).expect("the record is queued"));
    }
    last.expect("records").await.expect("the producer lives").map_err(|(error, _)| error).expect("it is acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_keep_up_is_not_flooded() {
    let place = Place::new(1);
    fill(&place).await;
    let mut member = place.assigned_consumer().await;
    let mut most = 0;
    let mut next = 0;
    while next < RECORDS {
        let waits = member.source.backlog().records();
        most = most.max(waits);
        let Ok(Some(event)) = tokio::time::timeout(PATIENCE, member.events.recv()).await else { panic!("it stopped") };
        let SourceEvent::Records(batch) = event else { continue };
        let (records, share) = batch.split();
        for record in records {
            assert_eq!(usize::try_from(record.origin.offset), Ok(next), "in order, none left out by a pause");
            next += 1;
        }
        // A worker slower than the broker.
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(share);
    }
    assert!((2_000..=MOST).contains(&most), "{most} records waited at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebalance_is_heard_while_the_worker_takes_nothing_in() {
    let place = Place::new(2);
    fill(&place).await;
    let member = place.assigned_consumer().await;
    let full = eventually("the channel is full", PATIENCE, async || {
        (member.source.backlog().records() >= 4_000).then_some(())
    });
    full.await;
    let _other = place.consumer();
    let told = eventually("a revocation is told", PATIENCE, async || member.source.group().is_none().then_some(()));
    told.await;
}
