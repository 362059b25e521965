//! The bare loop: consume, convert, link, read back, publish. No ledger, no order, no retry, no transaction: what a
//! consumer costs at least that makes the same calls.

use clap::Args;
use futures_util::stream::StreamExt;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::support::sandbox::{LOANPRO_INSTANCE, LOANPRO_TOKEN, PAYIQ_API_KEY};
use crate::support::stand::Stand;

/// What the loop is told.
#[derive(Args)]
pub struct BareLoop {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    input: String,
    #[arg(long)]
    output: String,
    #[arg(long)]
    payiq: String,
    #[arg(long)]
    loanpro: String,
    #[arg(long)]
    loop_in_flight: usize,
}

impl BareLoop {
    /// A loop over the stand's topics.
    pub fn of(stand: &Stand<'_>, in_flight: usize) -> Self {
        Self {
            brokers: stand.kafka.brokers().to_owned(),
            input: stand.topics.created.clone(),
            output: stand.topics.linked.clone(),
            payiq: stand.sandbox.vendor("payiq"),
            loanpro: stand.sandbox.vendor("loanpro"),
            loop_in_flight: in_flight,
        }
    }

    /// How to run it in a process of its own.
    pub fn command_line(&self) -> Vec<String> {
        let program = std::env::current_exe().expect("the benchmark's own file").display().to_string();
        let in_flight = self.loop_in_flight.to_string();
        let named = [
            ("--brokers", &self.brokers),
            ("--input", &self.input),
            ("--output", &self.output),
            ("--payiq", &self.payiq),
            ("--loanpro", &self.loanpro),
            ("--loop-in-flight", &in_flight),
        ];
        let named = named.into_iter().flat_map(|(name, value)| [name.to_owned(), value.clone()]);
        [program, "bare-loop".to_owned()].into_iter().chain(named).collect()
    }

    /// Works until it is killed.
    pub async fn run(&self) {
        let (consumer, producer) = (self.consumer(), self.producer());
        let vendors = Vendors::sign_in(self).await;
        let worked = consumer.stream().map(|message| {
            let message = message.expect("a record").detach();
            let (vendors, producer) = (&vendors, &producer);
            async move {
                let result = vendors.link(message.payload().expect("a value")).await;
                let record = FutureRecord::to(&self.output).key(message.key().unwrap_or_default()).payload(&result);
                let published = producer.send(record, std::time::Duration::from_secs(30)).await;
                published.map_err(|(error, _)| error).expect("the result is acknowledged");
            }
        });
        worked.buffer_unordered(self.loop_in_flight).collect::<()>().await;
    }

    fn consumer(&self) -> StreamConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("group.id", format!("bare-{}", self.input));
        config.set("auto.offset.reset", "earliest").set("enable.auto.commit", "true");
        let consumer: StreamConsumer = config.create().expect("a consumer");
        consumer.subscribe(&[&self.input]).expect("a subscription");
        consumer
    }

    fn producer(&self) -> FutureProducer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("partitioner", "murmur2_random").set("linger.ms", "5");
        config.create().expect("a producer")
    }
}

/// The two vendors, by the same calls that the worker makes.
struct Vendors {
    client: Client,
    payiq: String,
    loanpro: String,
    bearer: String,
}

impl Vendors {
    async fn sign_in(told: &BareLoop) -> Self {
        let client = Client::new();
        let body = json!({
            "APIKey": PAYIQ_API_KEY, "CreationDate": "2026-01-01T00:00:00Z", "Signature": "-",
            "grant_type": "client_credentials",
        });
        let answer = answer_to(client.post(format!("{}Api/Auth", told.payiq)).json(&body)).await;
        let bearer = answer["access_token"].as_str().expect("a bearer token").to_owned();
        Self { client, payiq: told.payiq.clone(), loanpro: told.loanpro.clone(), bearer }
    }

    /// Converts and links; answers the result event.
    async fn link(&self, event: &[u8]) -> Vec<u8> {
        let event: Value = serde_json::from_slice(event).expect("an event");
        let permanent = self.convert(&event["data"]["token"]["value"]).await;
        let customer = event["data"]["customer"]["id"].as_str().expect("a customer");
        let title = event["id"].as_str().expect("an id");
        self.append(customer, title, &permanent).await;
        let profile = self.read_back(customer, title).await;
        let data = json!({"customer": event["data"]["customer"], "paymentAccountId": profile});
        let result = json!({
            "specversion": "1.0", "type": "payments.profile-linked.v1", "source": "urn:bare-loop",
            "id": event["id"], "causationid": event["id"], "data": data,
        });
        result.to_string().into_bytes()
    }

    async fn convert(&self, token: &Value) -> Value {
        let url = format!("{}Api/PaymentAccount/ConvertJSToken", self.payiq);
        let request = self.client.post(url).bearer_auth(&self.bearer).json(&json!({"TemporaryToken": token}));
        let mut answer = answer_to(request).await;
        assert_eq!(answer["Success"], true, "{}", answer["ErrorCode"]);
        answer["Result"]["Token"].take()
    }

    async fn append(&self, customer: &str, title: &str, token: &Value) {
        let profile = json!({
            "active": 1, "isPrimary": 0, "isSecondary": 0, "title": title, "type": "paymentAccount.type.checking",
            "CheckingAccount": {"accountType": "bankacct.type.checking", "token": token}, "CreditCard": {},
        });
        let request = self.client.put(format!("{}odata.svc/Customers({customer})", self.loanpro));
        answer_to(signed(request).json(&json!({"PaymentAccounts": {"results": [profile]}}))).await;
    }

    async fn read_back(&self, customer: &str, title: &str) -> Value {
        let path =
            format!("odata.svc/Customers({customer})/PaymentAccounts?$expand=CheckingAccount,CreditCard&nopaging=true");
        let answer = answer_to(signed(self.client.get(format!("{}{path}", self.loanpro)))).await;
        let profiles = answer["d"]["results"].as_array().expect("a list of profiles");
        let ours = profiles.iter().find(|profile| profile["title"] == title).expect("the profile just linked");
        ours["id"].clone()
    }
}

fn signed(request: RequestBuilder) -> RequestBuilder {
    request.bearer_auth(LOANPRO_TOKEN).header("Autopal-Instance-Id", LOANPRO_INSTANCE)
}

async fn answer_to(request: RequestBuilder) -> Value {
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let text = answer.text().await.expect("the answer's body");
    assert!(status.is_success(), "{status} {text}");
    serde_json::from_str(&text).expect("the answer is JSON")
}
