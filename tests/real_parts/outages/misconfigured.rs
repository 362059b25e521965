//! What is wrong is ours: the tenant, the credential. However few events meet it, and however soon after all was well, none pays.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{OPENED, PROBES, assert_all_linked_soon, calls, causes, publish, says, setting, worker};
use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};

/// A customer that no tenant has.
const STRANGER: &str = "4711000";

crate::cases! {
    a_wrong_tenant_that_refuses_in_any_words_rejects_nothing_behind_a_probe needs [Kafka, Postgres];
    one_event_that_meets_a_wrong_credential_soon_after_a_success_pays_nothing needs [Kafka, Postgres];
    a_credential_that_may_read_and_not_link_costs_no_event_anything needs [Kafka, Postgres];
    what_a_wrong_tenant_does_not_list_is_not_linked_a_second_time needs [Kafka, Postgres];
    an_event_that_proves_nothing_does_not_keep_a_mended_tenants_others_waiting needs [Kafka, Postgres];
}

/// Such a text says nothing of a customer: it could be the link's own refusal.
async fn a_wrong_tenant_that_refuses_in_any_words_rejects_nothing_behind_a_probe(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let probe = stand.sandbox.create_customer().await;
    let worker = worker(&stand, &[setting("TARGET__LOANPRO__PROBE_CUSTOMER_ID", &probe)]).await;
    let body = json!({"error": {"message": {"lang": "en", "value": "Invalid instance id"}}});
    stand.sandbox.fault(json!({"route": "loanpro.*", "action": "status", "status": 409, "body": body})).await;
    let ids = publish(&stand, "permanent", 30).await;
    says(&worker, OPENED, 1).await;
    eventually("it is probed for longer than the budget", PATIENCE, async || {
        let asked = calls(&stand, "loanpro.customer").await + calls(&stand, "loanpro.lookup").await;
        let probes = asked + calls(&stand, "loanpro.link").await;
        (probes >= 2 * PROBES).then_some(())
    })
    .await;
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "a wrong tenant behind a probe").await;
}

async fn one_event_that_meets_a_wrong_credential_soon_after_a_success_pays_nothing(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    // An answer counts for as long as a probe waits: longer than the budget.
    let worker = worker(&stand, &[setting("BREAKER__PROBE_INTERVAL", "5s")]).await;
    let mut ids = publish(&stand, "permanent", 1).await;
    stand.reader(&[&stand.topics.linked]).read_until("one is linked", PATIENCE, |seen| !seen.is_empty()).await;
    stand.sandbox.fault(json!({"route": "loanpro.*", "action": "status", "status": 401})).await;
    ids.extend(publish(&stand, "permanent-again", 1).await);
    says(&worker, "our credential, tenant, address or ca_file is wrong", 1).await;
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "a wrong credential after a success").await;
}

/// A tenant that is wrong for the looks of links that were applied, answered or not: nobody notices before them.
async fn what_a_wrong_tenant_does_not_list_is_not_linked_a_second_time(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[setting("RETRY__BUDGET", "30s")]).await;
    let nobody = json!({"error": {"message": "customer does not exist"}});
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "apply_drop", "next": 5})).await;
    stand
        .sandbox
        .fault(json!({"route": "loanpro.lookup", "action": "status", "status": 200, "body": {"d": {"results": []}}}))
        .await;
    stand.sandbox.fault(json!({"route": "loanpro.customer", "action": "status", "status": 404, "body": nobody})).await;
    let ids = publish(&stand, "permanent", 20).await;
    says(&worker, OPENED, 1).await;
    assert_eq!(calls(&stand, "loanpro.link").await, 20, "each once");
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "a wrong tenant behind answered links").await;
}

/// The worst off is an event whose first link was not seen: each time that it may not link it looks, and is found to be right.
async fn a_credential_that_may_read_and_not_link_costs_no_event_anything(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[setting("RETRY__BUDGET", "6s")]).await;
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "drop", "next": 1})).await;
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "status", "status": 403})).await;
    let ids = publish(&stand, "permanent", 1).await;
    says(&worker, OPENED, 1).await;
    let (began, looks) = (Instant::now(), calls(&stand, "loanpro.lookup").await);
    eventually("it is looked for longer than the budget", PATIENCE, async || {
        let lasts = began.elapsed() > Duration::from_secs(12);
        (lasts && calls(&stand, "loanpro.lookup").await >= looks + PROBES).then_some(())
    })
    .await;
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "a credential that may only read").await;
}

/// It never failed, so it probes before the others, and in the right tenant its customer is missing, too.
async fn an_event_that_proves_nothing_does_not_keep_a_mended_tenants_others_waiting(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[]).await;
    let nobody = json!({"error": {"message": {"lang": "en", "value": "Customer not found"}}});
    stand.sandbox.fault(json!({"route": "loanpro.*", "action": "status", "status": 409, "body": nobody})).await;
    let ids = publish(&stand, "permanent", 5).await;
    says(&worker, OPENED, 1).await;
    let links = calls(&stand, "loanpro.link").await;
    stand.publish(&events::permanent("stranger", STRANGER, &stand.sandbox.permanent_token().await)).await;
    let tried = async |route: &str, more_than: u64| {
        eventually(route, PATIENCE, async || (calls(&stand, route).await > more_than).then_some(())).await;
    };
    tried("loanpro.link", links).await;
    tried("loanpro.customer", calls(&stand, "loanpro.customer").await).await;
    stand.sandbox.heal().await;
    let topics = [stand.topics.linked.as_str(), &stand.topics.rejected];
    stand.reader(&topics).read_until("all have a result", PATIENCE, |seen| seen.len() > ids.len()).await;
    assert_eq!(worker.terminate(), 0);
    assert_eq!(causes(&stand.all(&stand.topics.linked).await), ids);
    let rejected = stand.all(&stand.topics.rejected).await;
    assert_eq!(rejected[0].json()["data"]["reason"]["code"], "customer_not_found");
}
