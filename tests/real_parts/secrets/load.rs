//! A mixed load whose every token is known: what is linked, refused, dead-lettered, replayed, killed half-way, and echoed by
//! vendors in their errors.

use std::collections::BTreeSet;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use profile_linker::domain::{EventIdentity, Secret};
use profile_linker::ledger::{self, Act, Reopening};
use serde_json::{Value, json};

use super::needles::Needles;
use crate::support::events;
use crate::support::records::Record;
use crate::support::stand::{PATIENCE, Stand};

/// Events of each kind, enough for a kill to meet some under way.
const EACH: usize = 8;
/// Permanent tokens that the converter gives out, in turn.
const CONVERTED: usize = 6;
/// What a producer may put into a token: everything that is escaped somewhere.
const AWKWARD: &str = "\"quoted\"\\back/slash% + ünï→cödé <b>&'=\u{1f600}\u{7f}";

/// What was published, and what is to be looked for.
pub struct Load {
    pub needles: Needles,
    /// Each ends in one result of each generation.
    pub results: usize,
    ids: Vec<String>,
}

impl Load {
    /// Nothing yet but the credentials that the stand's configuration holds.
    pub fn new(credentials: &[(&str, &str)]) -> Self {
        let mut needles = Needles::default();
        credentials.iter().for_each(|(name, secret)| needles.add(*name, secret));
        Self { needles, results: 0, ids: Vec::new() }
    }

    /// Ids of the events.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    fn named(&mut self, kind: &str, token: &str) -> String {
        let id = format!("{kind}-{}", self.ids.len());
        self.needles.add(format!("the token of {id}"), token);
        self.ids.push(id.clone());
        self.results += 1;
        id
    }

    /// What goes well, though calls and answers get lost.
    pub async fn ordinary(&mut self, stand: &Stand<'_>) {
        for (route, action, p) in [
            ("loanpro.link", "apply_drop", 0.2),
            ("loanpro.link", "drop", 0.1),
            ("loanpro.lookup", "drop", 0.1),
            ("aloha.link", "apply_drop", 0.2),
            ("payiq.convert", "drop", 0.1),
        ] {
            stand.sandbox.fault(json!({"route": route, "action": action, "p": p})).await;
        }
        self.known_conversions(stand).await;
        for _ in 0..EACH {
            let customer = stand.sandbox.create_customer().await;
            let token = stand.sandbox.tokenise(json!({})).await;
            let id = self.named("temporary", &token);
            stand.publish(&events::temporary(&id, &customer, &token)).await;
            let token = stand.sandbox.permanent_token().await;
            let id = self.named("permanent", &token);
            stand.publish(&events::permanent(&id, &customer, &token)).await;
            let customer = stand.sandbox.create_aloha_customer().await;
            let token = stand.sandbox.tokenise(json!({"kind": "card", "permanent": true})).await;
            let id = self.named("aloha", &token);
            let mut event = events::aloha(&id, &customer, "connected-payments", &token);
            event["data"]["token"]["kind"] = json!("permanent");
            stand.publish(&event).await;
        }
    }

    /// The converter's answers are ours, so that the tokens in them are known.
    async fn known_conversions(&mut self, stand: &Stand<'_>) {
        for number in 0..CONVERTED {
            let token = stand.sandbox.permanent_token().await;
            self.needles.add(format!("converted token {number}"), &token);
            let mut rule = json!({"route": "payiq.convert", "action": "status", "status": 200, "body": done(&token)});
            if number + 1 < CONVERTED {
                rule["next"] = json!(2);
            }
            stand.sandbox.fault(rule).await;
        }
    }

    /// What is refused, with vendors who quote what they were sent; and what is no event.
    pub async fn refused(&mut self, stand: &Stand<'_>) {
        stand.sandbox.heal().await;
        for number in 0..EACH {
            self.bad_input(stand, number).await;
            let customer = stand.sandbox.create_customer().await;
            let token = stand.sandbox.permanent_token().await;
            let said = format!("cannot save {token} or \"{token}\" ({})", token.replace('/', "\\/"));
            let body = json!({"error": {"message": {"lang": "en", "value": said}}});
            let rule = json!({"route": "loanpro.link", "action": "status", "status": 409, "body": body, "customers": [customer]});
            stand.sandbox.fault(rule).await;
            let id = self.named("echoed-by-loanpro", &token);
            stand.publish(&events::permanent(&id, &customer, &token)).await;
        }
        // The converter's answers name no customer: whoever asks next gets them, so nobody else may ask meanwhile.
        self.ends(stand).await;
        for number in 0..EACH {
            self.echoed_by_payiq(stand, number).await;
        }
    }

    /// One at a time, as above.
    async fn echoed_by_payiq(&mut self, stand: &Stand<'_>, number: usize) {
        let token = format!("{}{AWKWARD}", fresh());
        let fresh_one = stand.sandbox.permanent_token().await;
        let id = self.named("echoed-by-payiq", &token);
        self.needles.add(format!("a token in a cut answer about {id}"), &fresh_one);
        let refusal = json!({"Success": false, "ErrorNum": 3, "ErrorCode": "DataNotFound", "ErrorID": "e1",
            "Errors": [format!("no such token {token}"), json!(token)], "Result": null});
        // An answer that was cut off on its way holds a token that nobody knows yet.
        let cut = done(&fresh_one).to_string();
        let cut = json!(cut[..cut.len() - 20]);
        let bodies = [(200, cut), (200, refusal)];
        let rules: Vec<Value> = bodies
            .into_iter()
            .map(|(status, body)| {
                json!({"route": "payiq.convert", "action": "status", "status": status, "body": body, "next": 1})
            })
            .collect();
        stand.sandbox.fault(json!(rules[number % 2..])).await;
        let customer = stand.sandbox.create_customer().await;
        stand.publish(&events::temporary(&id, &customer, &token)).await;
        let mut reader = stand.reader(&[&stand.topics.rejected]);
        let ended = |seen: &[Record]| seen.iter().any(|record| cause(record) == Some(id.clone()));
        reader.read_until("the refused token's event ends", PATIENCE, ended).await;
    }

    async fn bad_input(&mut self, stand: &Stand<'_>, number: usize) {
        let (token, other) = (format!("{}{AWKWARD}", fresh()), fresh());
        let customer = stand.sandbox.create_customer().await;
        let id = self.named("invalid", &token);
        let mut event = events::temporary(&id, &customer, &token);
        match number % 4 {
            0 => event["data"]["token"]["kind"] = json!("unheard-of"),
            1 => event["data"]["token"] = json!({"kind": "temporary", "value": [token]}),
            2 => event["data"]["token"] = json!(token),
            _ => event["data"] = json!(format!("token={token}")),
        }
        stand.publish_bytes(&customer, event.to_string().as_bytes()).await;
        let id = self.named("unreadable", &other);
        stand.publish_bytes(&customer, format!("{{\"id\": \"{id}\", \"token\": \"{other}\"").as_bytes()).await;
        // Twice the same identity with two tokens: a conflict has a result of its own.
        let (one, two) = (stand.sandbox.tokenise(json!({"outcome": "declined"})).await, fresh());
        let id = self.named("conflict", &one);
        self.needles.add(format!("the other token of {id}"), &two);
        self.results += 1;
        stand.publish(&events::temporary(&id, &customer, &one)).await;
        stand.publish(&events::temporary(&id, &customer, &two)).await;
    }

    /// Conversions whose answer is lost: dead letters, to be replayed.
    pub async fn lost(&mut self, stand: &Stand<'_>) {
        stand.sandbox.heal().await;
        stand.sandbox.fault(json!({"route": "payiq.convert", "action": "apply_drop", "next": EACH})).await;
        for _ in 0..EACH {
            let customer = stand.sandbox.create_customer().await;
            let token = stand.sandbox.tokenise(json!({})).await;
            let id = self.named("lost", &token);
            stand.publish(&events::temporary(&id, &customer, &token)).await;
        }
    }

    /// Waits until everything has its result.
    pub async fn ends(&self, stand: &Stand<'_>) {
        let mut reader = stand.reader(&[&stand.topics.linked, &stand.topics.rejected]);
        reader.read_until("everything ends", PATIENCE, |seen| seen.len() >= self.results).await;
    }

    /// Reopens each dead letter, as operators do; no worker may have a ledger of one process meanwhile.
    pub async fn replay(&mut self, stand: &Stand<'_>) {
        let ledger = ledger::open(&Secret::from(stand.ledger_url())).await.expect("a ledger");
        let act = Act { actor: "ada".to_owned(), why: Some("the vendor is back".to_owned()) };
        let letters = stand.all(&stand.topics.dead_letter).await;
        let identity = |record: &Record| {
            let created = &record.json()["data"]["created"];
            let text = |name: &str| created[name].as_str().map(str::to_owned);
            Some(EventIdentity { source: text("source")?, id: text("id")? })
        };
        let keys: BTreeSet<_> = letters.iter().filter_map(identity).map(|identity| identity.key()).collect();
        let rows: Vec<_> = keys.into_iter().map(|key| Reopening { key, generation: 1 }).collect();
        let reopened = ledger.reopen(&rows, &act).await.expect("an answer");
        assert!(reopened.len() >= EACH, "dead letters of which a token is known are replayed");
        self.results += reopened.len();
    }
}

fn cause(record: &Record) -> Option<String> {
    record.json()["causationid"].as_str().map(str::to_owned)
}

/// A token that no vendor knows.
pub fn fresh() -> String {
    format!("tok_{}", BASE64URL_NOPAD.encode(&rand::random::<[u8; 30]>()))
}

/// The same in the length of those that are kept.
pub fn fresh_permanent() -> String {
    BASE64.encode(&(0..600).map(|_| rand::random()).collect::<Vec<u8>>())
}

/// A conversion as the converter answers it.
fn done(token: &str) -> Value {
    json!({"Success": true, "ErrorNum": 0, "ErrorCode": "None", "Errors": [], "Result": {
        "Token": token, "AccountNumberLastFour": "6789", "PaymentAccountType": "ACH", "IsBankAccount": true,
        "IsCheckingAccount": true, "IsSavingsAccount": false, "IsCreditCard": false}})
}
