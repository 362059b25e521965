//! Dead letters in a topic of an embedded broker, sealed under a key of the test's own, good and damaged.

use std::process::Command;
use std::time::Duration;

use data_encoding::BASE64;
use profile_linker::contract::record_bytes;
use profile_linker::contract::results::{DeadLetterParts, OutputMode, SealedOriginal, Subject, dead_letter};
use profile_linker::domain::{Attempts, Customer, EventIdentity, Reason, ReasonCode, Secret, Stage, System};
use profile_linker::ledger::Vault;
use profile_linker::ledger::custody::record_context;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::Value;

use crate::bench::{Bench, Broker, CREATED, Ended, beside, created};

/// The dead-letter topic, as configured by default.
pub const DLQ: &str = "payments.profile-created.v1.dlq";

/// Enough for a start on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Key, value and headers of an original.
pub type Parts = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

/// Where originals stood.
pub struct Origin;

impl Origin {
    /// All at the same time: their order is that of their offsets.
    pub const TIMESTAMP: i64 = 1_700_000_000_000;
}

/// What a dead letter tells.
#[derive(Clone, Copy)]
pub struct Letter {
    pub id: Option<&'static str>,
    pub customer: &'static str,
    pub reason: &'static str,
    pub generation: i32,
    pub partition: i32,
    pub offset: i64,
}

impl Letter {
    pub fn of(id: &'static str, partition: i32, offset: i64) -> Self {
        Self { id: Some(id), customer: "42", reason: "retries_exhausted", generation: 1, partition, offset }
    }

    /// The id of the event that a person made of it, where it has no identity.
    pub fn edited_id(&self) -> String {
        self.origin().edited_id().to_string()
    }

    fn origin(&self) -> profile_linker::domain::Origin {
        let (partition, offset) = (self.partition, self.offset);
        profile_linker::domain::Origin { topic: CREATED.to_owned(), partition, offset, timestamp: Origin::TIMESTAMP }
    }

    fn original(&self) -> Parts {
        let value = match self.id {
            Some(id) => created(id, self.customer).to_string(),
            None => "no event".to_owned(),
        };
        (Some(self.customer.as_bytes().to_vec()), Some(value.into_bytes()), Vec::new())
    }
}

/// A record of the input topic.
#[derive(Debug)]
pub struct Input {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Input {
    /// A header's last value.
    pub fn text(&self, name: &str) -> String {
        let (_, value) = self.headers.iter().rev().find(|(other, _)| other == name).unwrap();
        String::from_utf8(value.clone().unwrap()).unwrap()
    }
}

/// The broker with its topics, and a configuration that knows one key.
pub struct Letters {
    pub broker: Broker,
    bench: Bench,
    vault: Vault,
}

fn vault(id: &str, byte: u8) -> Vault {
    Vault::new(id, vec![(id.to_owned(), Secret::new(vec![byte; 32]))]).unwrap()
}

impl Letters {
    /// With an input topic of so many partitions.
    pub async fn new(partitions: i32) -> Self {
        let letters = Self::at(Broker::new(partitions));
        letters.broker.add_topic(DLQ);
        letters
    }

    /// Without a dead-letter topic.
    pub async fn without_topic() -> Self {
        Self::at(Broker::new(1))
    }

    fn at(broker: Broker) -> Self {
        let bench = Bench::new();
        bench.file("k1.key", &(BASE64.encode(&[1; 32]) + "\n"));
        let config = format!(
            "kafka.brokers = {:?}\nledger.url = \"sqlite:lost.db\"\n[keys]\nk1 = {{ file = \"k1.key\" }}\n",
            broker.address
        );
        bench.file("worker.toml", &config);
        Self { broker, bench, vault: vault("k1", 1) }
    }

    /// Runs `dlq` with these words.
    pub async fn dlq(&self, words: &[&str]) -> Ended {
        self.run(&[&["dlq"], words].concat()).await
    }

    /// Runs any command with these words.
    pub async fn run(&self, words: &[&str]) -> Ended {
        beside(self.command(words)).await
    }

    /// The command, not begun.
    pub fn command(&self, words: &[&str]) -> Command {
        self.bench.command(&[words, &["--config", "worker.toml"]].concat())
    }

    /// The `DeadLetter` event in structured mode.
    pub fn event(&self, letter: &Letter) -> Value {
        serde_json::from_slice(&self.made(letter, &letter.original(), "", OutputMode::Structured).value).unwrap()
    }

    pub async fn publish(&self, letter: &Letter) {
        self.publish_original(letter, &letter.original()).await;
    }

    pub async fn publish_original(&self, letter: &Letter, original: &Parts) {
        let made = self.made(letter, original, "", OutputMode::Structured);
        self.send(Some(&made.value), &made.headers).await;
    }

    pub async fn publish_binary(&self, letter: &Letter) {
        let made = self.made(letter, &letter.original(), "", OutputMode::Binary);
        self.send(Some(&made.value), &made.headers).await;
    }

    /// With something wrong about its seal.
    pub async fn publish_damaged(&self, letter: &Letter, how: &str) {
        let made = self.made(letter, &letter.original(), how, OutputMode::Structured);
        self.send(Some(&made.value), &made.headers).await;
    }

    pub async fn publish_bytes(&self, value: Option<&[u8]>) {
        self.send(value, &[]).await;
    }

    fn made(
        &self,
        letter: &Letter,
        (key, value, headers): &Parts,
        damage: &str,
        mode: OutputMode,
    ) -> profile_linker::contract::OutgoingRecord {
        let bytes = record_bytes::encode(key.as_deref(), value.as_deref(), headers);
        let mut origin = letter.origin();
        let context = record_context(&origin);
        let mut sealed = match damage {
            "sealed elsewhere" => self.vault.seal(&record_context(&Letter { offset: 99, ..*letter }.origin()), &bytes),
            "another key" => vault("k0", 1).seal(&context, &bytes),
            "another key's bytes" => vault("k1", 2).seal(&context, &bytes),
            _ => self.vault.seal(&context, &bytes),
        };
        if damage == "changed" {
            let last = sealed.last_mut().unwrap();
            *last ^= 1;
        }
        origin.timestamp = Origin::TIMESTAMP;
        let identity = letter.id.map(|id| EventIdentity { source: "urn:test".to_owned(), id: id.to_owned() });
        let customer = Customer { system: System::Loanpro, id: letter.customer.to_owned() };
        let subject = Subject {
            identity: identity.as_ref(),
            created: None,
            origin: &origin,
            customer: Some(&customer).filter(|_| letter.id.is_some()),
            key: None,
            context: &Default::default(),
            generation: letter.generation,
            attempts: Attempts { convert: 1, link: 2, lookup: 3 },
            at: Origin::TIMESTAMP + 1000,
        };
        let code = ReasonCode::ALL.into_iter().find(|code| code.as_str() == letter.reason).unwrap();
        let stage = if letter.id.is_some() { Stage::Link } else { Stage::Decode };
        let base64 = BASE64.encode(&sealed);
        let key_id = Vault::key_id_of(&sealed).unwrap();
        let sealed = (damage != "too large").then_some(SealedOriginal { base64: &base64, key_id });
        let parts = DeadLetterParts { record_key: None, first_failed_at: Origin::TIMESTAMP, sealed };
        dead_letter(&subject, &Reason::new(code, stage, "a test's"), &parts, mode)
    }

    async fn send(&self, value: Option<&[u8]>, headers: &[(String, Vec<u8>)]) {
        let producer: FutureProducer = self.broker.client().create().unwrap();
        let mut all = OwnedHeaders::new();
        for (key, value) in headers {
            all = all.insert(Header { key, value: Some(value) });
        }
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(DLQ).headers(all);
        record.payload = value;
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }

    /// Waits until the input topic has so many records.
    pub async fn published(&self, count: usize) {
        let consumer = self.broker.consumer(CREATED);
        for _ in 0..count {
            tokio::time::timeout(PATIENCE, consumer.recv()).await.unwrap().unwrap();
        }
    }

    /// What is in the input topic now.
    pub async fn input(&self) -> Vec<Input> {
        let consumer = self.broker.consumer(CREATED);
        let mut found = Vec::new();
        // The embedded broker tells no end of a topic; what is there comes at once.
        while let Ok(message) = tokio::time::timeout(Duration::from_secs(2), consumer.recv()).await {
            let message = message.unwrap();
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            found.push(Input {
                partition: message.partition(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers: headers.map(|one| (one.key.to_owned(), one.value.map(<[u8]>::to_vec))).collect(),
            });
        }
        found
    }
}
