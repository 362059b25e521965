//! A certificate that we do not trust is our own mistake, too: the file of authorities is mended, and nothing is restarted.

use crate::support::admin::Admin;
use crate::support::authority::Authority;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::tls_door::TlsDoor;

use super::size::Size;
use super::{OPENED, PROBE_INTERVAL, PROBES, assert_all_linked_soon, linked, publish, says, worker};

crate::cases! {
    a_vendor_that_renews_its_authority_rejects_nothing_and_the_mended_ca_file_is_taken_up needs [Kafka, Postgres];
}

const BROKEN: &str = "ca_file cannot be used";

async fn a_vendor_that_renews_its_authority_rejects_nothing_and_the_mended_ca_file_is_taken_up(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let (old, new) = (Authority::new(), Authority::new());
    let vendor = stand.sandbox.vendor("loanpro");
    let port = vendor.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()?.parse().ok()).expect("a port");
    let door = TlsDoor::before(port, &old.server(&["localhost"])).await;
    let file = stand.file("loanpro-ca.pem", &old.pem());
    let trusted = format!("https://localhost:{}/loanpro/\"\nca_file = \"{}", door.port(), file.display());
    stand.amend(&vendor, &trusted);
    let worker = worker(&stand, &[]).await;
    let mut ids = publish(&stand, "permanent", 3).await;
    linked(&stand, ids.len()).await;
    let (size, began) = (Size::wished(), std::time::Instant::now());
    door.change(&new.server(&["localhost"]));
    ids.extend(publish(&stand, "permanent-again", size.events / 3).await);
    says(&worker, OPENED, 1).await;
    std::fs::write(&file, "-----BEGIN CERT").expect("the file is being written again");
    let before = door.refused();
    eventually("it is probed for longer than the budget", PATIENCE, async || {
        (door.refused() >= before + PROBES).then_some(())
    })
    .await;
    size.passes(began).await;
    let ready = Admin::of(&worker).get("/readyz").await.json();
    let reason = ready["checks"]["loanpro"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("one that ca_file names"), "{reason}");
    assert!(door.refused() < size.few(60, PROBE_INTERVAL), "{} calls while nobody is trusted", door.refused());
    assert_eq!(worker.log().matches(BROKEN).count(), 1, "once a change");
    std::fs::write(&file, old.pem() + &new.pem()).expect("the file is mended");
    assert_all_linked_soon(&stand, worker, &ids, "renewed authority").await;
}
