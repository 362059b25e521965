//! The sample events: each shows one thing that happens to events.

use std::time::Duration;

use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use crate::cli::broker::{Quiet, create};
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::{Exit, Failure};
use crate::cli::sandbox_client::SandboxClient;
use crate::contract::samples::{SampleParts, sample};
use crate::contract::{AccountKind, Brand};
use crate::domain::ReasonCode;
use crate::sandbox::{Outcome, Running, TokenRequest};

/// What a sample's result must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Linked,
    Rejected(ReasonCode),
    /// A duplicate: no result of its own.
    NoFurther,
}

/// A sample.
pub(super) struct Sample {
    /// What it shows.
    pub name: &'static str,
    pub customer: String,
    /// Its CloudEvents `id`; `None` where it cannot be read.
    pub id: Option<String>,
    pub value: Vec<u8>,
    pub expected: Expected,
}

/// Makes the samples, with customers and tokens that the sandbox knows.
pub(super) async fn make(sandbox: &Running, run: &str) -> anyhow::Result<Vec<Sample>> {
    let customers: Vec<String> =
        (0..6).map(|_| sandbox.create_loanpro_customer("Sample", "Customer").to_string()).collect();
    let aloha = sandbox.create_aloha_customer().to_string();
    lose_one_answer(sandbox, &customers[3]).await?;
    let token = |outcome: Outcome, kind: AccountKind| {
        sandbox.tokenise(TokenRequest { kind, outcome, last_four: "1111".to_owned(), ..TokenRequest::default() })
    };
    let good = |kind| token(Outcome::Ok, kind);
    let mut maker = Maker { run, samples: Vec::new() };
    let (checking, card) = (AccountKind::Checking, AccountKind::Card);
    maker.add("checking account", &customers[0], &good(checking), Expected::Linked, |_| {});
    maker.repeat("the same event again");
    maker.add("savings account", &customers[1], &good(AccountKind::Savings), Expected::Linked, |data| {
        data["account"]["kind"] = json!("savings");
    });
    maker.add("card", &customers[2], &good(card), Expected::Linked, |data| {
        data["account"] = json!({ "kind": "card", "brand": "visa", "lastFour": "1111" });
    });
    maker.add("answer lost, looked up", &customers[3], &good(checking), Expected::Linked, |_| {});
    maker.add("card for Aloha", &aloha, &good(card), Expected::Linked, to_aloha);
    let declined = Expected::Rejected(ReasonCode::AccountDeclined);
    maker.add("declined card", &customers[4], &token(Outcome::Declined, card), declined, |_| {});
    let expired = Expected::Rejected(ReasonCode::TokenExpired);
    maker.add("expired token", &customers[5], &good(checking), expired, |data| {
        data["expiresAt"] = json!("2020-01-01T00:00:00Z");
    });
    maker.samples.push(malformed());
    Ok(maker.samples)
}

/// The next link of this customer is applied, and its answer lost.
async fn lose_one_answer(sandbox: &Running, customer: &str) -> Result<(), Failure> {
    let rule = json!({ "route": "loanpro.link", "action": "apply_drop", "next": 1, "customers": [customer] });
    SandboxClient::new(&sandbox.base_url()).post("/sandbox/faults", &rule).await.map(drop)
}

fn to_aloha(data: &mut Value) {
    data["customer"]["system"] = json!("aloha");
    data["provider"] = json!("connected-payments");
    data["account"] = json!({
        "kind": "card", "brand": brand(Brand::Visa), "lastFour": "1111",
        "maskedNumber": "411111******1111", "expiration": "12/30", "holderName": "Sample Customer",
    });
}

fn brand(brand: Brand) -> Value {
    serde_json::to_value(brand).unwrap_or_default()
}

fn malformed() -> Sample {
    Sample {
        name: "not an event",
        customer: "-".to_owned(),
        id: None,
        value: br#"{"specversion": "1.0", "type": "payments.profile-cre"#.to_vec(),
        expected: Expected::Rejected(ReasonCode::MalformedEvent),
    }
}

struct Maker<'a> {
    run: &'a str,
    samples: Vec<Sample>,
}

impl Maker<'_> {
    fn add(
        &mut self,
        name: &'static str,
        customer_id: &str,
        temporary_token: &str,
        expected: Expected,
        change: impl FnOnce(&mut Value),
    ) {
        let number = u64::try_from(self.samples.len()).unwrap_or(0) + 1;
        let mut event = sample(number, self.run, &SampleParts { customer_id, temporary_token });
        change(&mut event["data"]);
        self.samples.push(Sample {
            name,
            customer: customer_id.to_owned(),
            id: event["id"].as_str().map(str::to_owned),
            value: event.to_string().into_bytes(),
            expected,
        });
    }

    /// The last sample once more.
    fn repeat(&mut self, name: &'static str) {
        if let Some(Sample { customer, id, value, .. }) = self.samples.last() {
            let (customer, id, value) = (customer.clone(), id.clone(), value.clone());
            self.samples.push(Sample { name, customer, id, value, expected: Expected::NoFurther });
        }
    }
}

/// Publishes them, as a producer of events would; answers each one's partition and offset.
pub(super) async fn publish(samples: &[Sample], endpoint: &Endpoint) -> Result<Vec<(i32, i64)>, Failure> {
    let context = Quiet::default();
    let producer: FutureProducer<Quiet> = create(&endpoint.producer(), &context)?;
    let mut places = Vec::new();
    for sample in samples {
        let record = FutureRecord::to(&endpoint.topics.created).key(&sample.customer).payload(&sample.value);
        let sent = producer.send(record, Duration::from_secs(10)).await.map_err(|(error, _)| {
            Failure::new(Exit::Failed, format!("the sample {:?} was not published: {error}", sample.name))
        })?;
        places.push((sent.partition, sent.offset));
    }
    Ok(places)
}
