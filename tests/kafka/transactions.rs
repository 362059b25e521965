//! Transactions that fail: which of them are over, which are repeated, and which nobody can tell.

use std::time::Duration;

use profile_linker::contract::{OutgoingRecord, TopicRole};
use profile_linker::kafka::transactional::{Limits, TransactionalPublisher};
use profile_linker::kafka::{Cycle, CycleError, Position, Publisher, Source};
use rdkafka::types::RDKafkaRespErr as Code;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr};

use crate::patience::eventually;
use crate::place::{Member, PATIENCE, Place};

const LIMITS: Limits = Limits { call: Duration::from_secs(2), init: Duration::from_secs(10) };

struct Scene {
    place: Place,
    member: Member,
    publisher: TransactionalPublisher,
}

impl Scene {
    async fn new() -> Self {
        let place = Place::new(1);
        let member = place.assigned_consumer().await;
        let publisher = TransactionalPublisher::start(&place.settings, "ours", LIMITS).await.expect("a publisher");
        Self { place, member, publisher }
    }

    fn cycle(&self) -> Cycle {
        let record =
            OutgoingRecord { topic: TopicRole::Linked, key: None, value: b"linked".to_vec(), headers: Vec::new() };
        let position = Position { partition: 0, offset: 1, metadata: "cursor".to_owned() };
        Cycle { records: vec![record], at_ms: None, positions: vec![position], group: self.member.source.group() }
    }

    async fn publish_with(&self, api: Api, errors: &[RDKafkaRespErr]) -> Result<(), CycleError> {
        self.place.cluster.request_errors(api, errors);
        let result = self.publisher.publish(self.cycle()).await;
        self.place.cluster.clear_request_errors(api);
        result
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_that_the_group_refuses_aborts_the_cycle() {
    let scene = Scene::new().await;
    for code in [
        Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        Code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
    ] {
        let result = scene.publish_with(Api::TxnOffsetCommit, &[code]).await;
        assert!(matches!(result, Err(CycleError::Aborted(_))), "{code:?}: {result:?}");
    }
    assert_eq!(scene.publisher.publish(scene.cycle()).await, Ok(()), "the same producer goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_repeated_within_the_transaction() {
    let scene = Scene::new().await;
    for (api, code) in [
        (Api::AddPartitionsToTxn, Code::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS),
        (Api::AddOffsetsToTxn, Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS),
        (Api::TxnOffsetCommit, Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE),
        (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR),
        (Api::Produce, Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS),
    ] {
        let result = scene.publish_with(api, &[code, code]).await;
        assert_eq!(result, Ok(()), "{api:?} {code:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_producer_leaves_its_cycle_in_doubt_and_is_made_anew() {
    let scene = Scene::new().await;
    for (api, code) in [
        (Api::AddPartitionsToTxn, Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED),
        (Api::AddOffsetsToTxn, Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH),
        (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        (Api::EndTxn, Code::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE),
    ] {
        let result = scene.publish_with(api, &[code]).await;
        assert!(matches!(result, Err(CycleError::InDoubt(_))), "{api:?} {code:?}: {result:?}");
        assert_eq!(scene.publisher.publish(scene.cycle()).await, Ok(()), "a new producer goes on after {code:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_not_answered_in_time_is_in_doubt() {
    let scene = Scene::new().await;
    let unanswered = [Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE; 1_000];
    let result = scene.publish_with(Api::EndTxn, &unanswered).await;
    assert!(matches!(result, Err(CycleError::InDoubt(_))), "{result:?}");
    assert_eq!(scene.publisher.publish(scene.cycle()).await, Ok(()), "a new producer goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_we_may_not_write_to_is_a_refusal_and_no_outage() {
    let scene = Scene::new().await;
    let forbidden = Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let result = scene.publish_with(Api::Produce, &[forbidden]).await;
    assert!(matches!(result, Err(CycleError::Refused { index: 0, .. })), "{result:?}");
    scene.place.cluster.topic_error("linked", forbidden).expect("a topic");
    let result = scene.publisher.publish(scene.cycle()).await;
    let refused = matches!(result, Err(CycleError::Refused { .. } | CycleError::RefusedSomewhere(_)));
    assert!(refused, "{result:?}");
    scene.place.cluster.topic_error("linked", Code::RD_KAFKA_RESP_ERR_NO_ERROR).expect("a topic");
    let goes_on = eventually("it goes on when it may", PATIENCE, async || {
        scene.publisher.publish(scene.cycle()).await.is_ok().then_some(())
    });
    goes_on.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_refused_cycle_is_delivered() {
    let scene = Scene::new().await;
    let mut cycle = scene.cycle();
    let mut large = cycle.records[0].clone();
    // Larger than the client sends, so it is refused while the first one is acknowledged.
    large.value = vec![b'x'; 2_000_000];
    cycle.records.push(large);
    let Err(CycleError::Refused { index: 1, delivered, .. }) = scene.publisher.publish(cycle).await else {
        panic!("the second record is refused")
    };
    assert!(delivered.is_empty(), "{delivered:?}: what was acknowledged was aborted with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cycle_is_sent_without_a_membership() {
    let scene = Scene::new().await;
    let cycle = Cycle { group: None, ..scene.cycle() };
    assert!(matches!(scene.publisher.publish(cycle).await, Err(CycleError::Aborted(_))));
}
