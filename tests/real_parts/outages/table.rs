//! Each way of being away, at each vendor: the same five stories, told of all three. What `super` tells with more to it (LoanPro, and
//! a PayIQ that is down) is not told again here. `PROFILE_LINKER_TEST_OUTAGES=full` tells what every run cannot afford, too.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use super::size::Size;
use super::{
    CLOSED, PROBE_INTERVAL, assert_all_linked_soon, calls, down, opened, outlasts_the_budget, publish, says, setting,
    worker,
};
use crate::support::parts::{Case, RealParts};
use crate::support::sandbox::{LOANPRO_TOKEN, PAYIQ_API_KEY, Sandbox};
use crate::support::stand::{Delivery, Stand};
use crate::support::worker::Worker;

use Trouble::{Down, Flapping, Hanging, Throttling, WrongCredential};
use Vendor::{Aloha, LoanPro, PayIq};

crate::cases! {
    a_converter_that_hangs_rejects_nothing needs [Kafka, Postgres];
    a_converter_that_throttles_every_call_rejects_nothing needs [Kafka, Postgres];
    a_converter_that_refuses_our_credential_rejects_nothing needs [Kafka, Postgres];
    an_aloha_that_comes_and_goes_rejects_nothing needs [Kafka, Postgres];
}

/// The rest of the table.
mod rest {
    use super::*;

    crate::cases! {
        a_converter_that_comes_and_goes_rejects_nothing needs [Kafka, Postgres];
        a_loanpro_that_is_down_alone_rejects_nothing needs [Kafka, Postgres];
        an_aloha_that_is_down_alone_rejects_nothing needs [Kafka, Postgres];
        an_aloha_that_hangs_rejects_nothing_and_links_nothing_twice needs [Kafka, Postgres];
        an_aloha_that_throttles_every_call_rejects_nothing needs [Kafka, Postgres];
        an_aloha_that_refuses_our_credential_rejects_nothing needs [Kafka, Postgres];
    }
}

/// A GUID, as the right one is.
const OTHER_API_KEY: &str = "00000000-51c4-4c8e-9d1a-2f6f3c1d9b42";

/// What is told on top of [`CASES`]: everything else, if all is wished for.
pub fn rest() -> &'static [Case] {
    if Size::wished().is_usual() { &[] } else { rest::CASES }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vendor {
    PayIq,
    LoanPro,
    Aloha,
}

#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// 503 to everything.
    Down,
    /// No answers; of a link, half were applied.
    Hanging,
    /// Down, and up again, several times.
    Flapping,
    /// 429 with `Retry-After` to everything.
    Throttling,
    /// Ours is wrong, until its file is mended.
    WrongCredential,
}

async fn a_converter_that_hangs_rejects_nothing(parts: &RealParts) {
    plays(parts, PayIq, Hanging).await;
}

async fn a_converter_that_throttles_every_call_rejects_nothing(parts: &RealParts) {
    plays(parts, PayIq, Throttling).await;
}

async fn a_converter_that_refuses_our_credential_rejects_nothing(parts: &RealParts) {
    plays(parts, PayIq, WrongCredential).await;
}

async fn a_converter_that_comes_and_goes_rejects_nothing(parts: &RealParts) {
    plays(parts, PayIq, Flapping).await;
}

async fn a_loanpro_that_is_down_alone_rejects_nothing(parts: &RealParts) {
    plays(parts, LoanPro, Down).await;
}

async fn an_aloha_that_is_down_alone_rejects_nothing(parts: &RealParts) {
    plays(parts, Aloha, Down).await;
}

async fn an_aloha_that_hangs_rejects_nothing_and_links_nothing_twice(parts: &RealParts) {
    plays(parts, Aloha, Hanging).await;
}

async fn an_aloha_that_comes_and_goes_rejects_nothing(parts: &RealParts) {
    plays(parts, Aloha, Flapping).await;
}

async fn an_aloha_that_throttles_every_call_rejects_nothing(parts: &RealParts) {
    plays(parts, Aloha, Throttling).await;
}

async fn an_aloha_that_refuses_our_credential_rejects_nothing(parts: &RealParts) {
    plays(parts, Aloha, WrongCredential).await;
}

/// Tells one story: events while the vendor is in trouble, for longer than their budget, and what became of them.
async fn plays(parts: &RealParts, vendor: Vendor, trouble: Trouble) {
    let mut stand = Stand::prepare(parts, Delivery::Transactional).await;
    let credential = match trouble {
        WrongCredential => Some(vendor.wants_another_credential(&mut stand).await),
        _ => None,
    };
    // One call that is never answered is worth two seconds of it; and so is one that was answered with 503 at Aloha: before the last
    // look it may be under way for as long, and a vendor that comes back soon has no outage meanwhile.
    let budget = matches!(trouble, Hanging | Flapping).then(|| setting("RETRY__BUDGET", "9s"));
    let worker = worker(&stand, budget.as_slice()).await;
    let began = Instant::now();
    let ids = match trouble {
        Flapping => comes_and_goes(&stand, &worker, vendor).await,
        _ => is_in(trouble, vendor, &stand, &worker).await,
    };
    Size::wished().passes(began).await;
    stand.sandbox.heal().await;
    if let Some((file, right)) = credential {
        std::fs::write(file, right).expect("the file is mended");
    }
    assert_all_linked_soon(&stand, worker, &ids, &format!("{vendor:?} {trouble:?}")).await;
}

/// A trouble that stays until somebody ends it.
async fn is_in(trouble: Trouble, vendor: Vendor, stand: &Stand<'_>, worker: &Worker) -> BTreeSet<String> {
    for rule in vendor.rules(trouble) {
        stand.sandbox.fault(rule).await;
    }
    let size = Size::wished();
    let ids = publish(stand, vendor.events(), size.events / 3).await;
    match trouble {
        Hanging => opened(worker, 1).await,
        WrongCredential => outlasts_the_budget(stand, vendor.signs_in_at()).await,
        _ => outlasts_the_budget(stand, vendor.changes_at()).await,
    }
    if let Throttling | WrongCredential = trouble {
        let calls = calls(stand, vendor.changes_at()).await;
        assert!(calls < size.few(60, PROBE_INTERVAL), "{calls} calls to a {vendor:?} that asks for fewer");
    }
    ids
}

async fn comes_and_goes(stand: &Stand<'_>, worker: &Worker, vendor: Vendor) -> BTreeSet<String> {
    let (size, began) = (Size::wished(), Instant::now());
    let mut ids = publish(stand, vendor.events(), size.events / 6).await;
    let mut round = 0;
    while round < 3 || began.elapsed() < size.lasts {
        round += 1;
        stand.sandbox.fault(down(&vendor.route(), 503)).await;
        ids.extend(publish(stand, &format!("{}-{round}", vendor.events()), size.customers / 20).await);
        opened(worker, round).await;
        stand.sandbox.heal().await;
        // The next blow falls into the recovery.
        says(worker, CLOSED, round).await;
    }
    ids
}

impl Vendor {
    /// What its customers buy with: the first word of [`publish`].
    fn events(self) -> &'static str {
        match self {
            PayIq => "temporary",
            LoanPro => "permanent",
            Aloha => "aloha",
        }
    }

    /// All of its calls; of PayIQ the conversions, since the sign-in is over when they begin.
    fn route(self) -> String {
        match self {
            PayIq => "payiq.convert".to_owned(),
            LoanPro => "loanpro.*".to_owned(),
            Aloha => "aloha.*".to_owned(),
        }
    }

    /// The call that changes something.
    fn changes_at(self) -> &'static str {
        match self {
            PayIq => "payiq.convert",
            LoanPro => "loanpro.link",
            Aloha => "aloha.link",
        }
    }

    /// The call that meets a wrong credential.
    fn signs_in_at(self) -> &'static str {
        if self == PayIq { "payiq.auth" } else { self.changes_at() }
    }

    fn rules(self, trouble: Trouble) -> Vec<Value> {
        let route = self.route();
        match trouble {
            Down | Flapping => vec![down(&route, 503)],
            Throttling => {
                vec![json!({"route": route, "action": "status", "status": 429, "headers": {"Retry-After": "1"}})]
            }
            // A conversion that was applied and not answered is a token that is used up: a story of its own.
            Hanging if self == PayIq => vec![json!({"route": route, "action": "hang"})],
            Hanging => vec![
                json!({"route": self.changes_at(), "action": "apply_drop", "p": 0.5}),
                json!({"route": route, "action": "hang"}),
            ],
            WrongCredential => vec![],
        }
    }

    /// A sandbox that takes one credential only, and a configuration with a file of another one; answers that file, and what should
    /// be in it.
    async fn wants_another_credential(self, stand: &mut Stand<'_>) -> (PathBuf, &'static str) {
        // The sandbox's customers are made with these, too.
        let (name, key, right, wrong) = match self {
            PayIq => ("payiq_api_key", format!("api_key = \"{PAYIQ_API_KEY}\""), PAYIQ_API_KEY, OTHER_API_KEY),
            LoanPro => ("loanpro_token", format!("token = \"{LOANPRO_TOKEN}\""), LOANPRO_TOKEN, "the wrong one"),
            Aloha => ("aloha_password", "password = \"sandbox-aloha-password\"".to_owned(), "any", "the wrong one"),
        };
        let strict = Sandbox::start_strict(&format!("{name}={right}")).await;
        for vendor in ["payiq", "loanpro", "aloha"] {
            stand.amend(&stand.sandbox.vendor(vendor), &strict.vendor(vendor));
        }
        stand.sandbox = strict;
        let file = stand.file("credential", wrong);
        let (setting, _) = key.split_once(" =").expect("a setting");
        stand.amend(&key, &format!("{setting}_file = \"{}\"", file.display()));
        (file, right)
    }
}
