//! Clients of the broker for commands: quiet, and with clear words when it is away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::exit::{Exit, Failure};
use crate::kafka::rotation::Rotation;

/// How long a broker may take to answer before it counts as unreachable. A command must have ended within 35 s, and two
/// such waits may follow each other.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long to wait before asking again while leaders are elected.
const SETTLE: Duration = Duration::from_millis(100);
/// How long to listen for the reason of a failure; what there is to hear is queued already.
const LISTEN: Duration = Duration::from_millis(200);

/// What to do where librdkafka takes a configuration's properties one by one, but not together, or not what they name.
const REFUSED_FIX: &str = "correct it in [kafka.properties]: a file that it names must be there, readable, and PEM; the \
    log-ins are PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512; see docs/how-to/connect-with-tls-and-sasl.md";

/// Sends librdkafka's log to ours, and remembers why it could not connect.
#[derive(Clone, Default)]
pub struct Quiet {
    heard: Arc<Mutex<Heard>>,
}

/// What librdkafka said of its connections.
#[derive(Clone, Default)]
struct Heard {
    last_failure: Option<String>,
    refusal: Option<Refusal>,
}

/// Why a broker that can be reached is of no use: not an outage, and waiting mends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The broker does not take our user, password or mechanism.
    Login,
    /// We do not take the broker's certificate.
    Certificate,
}

impl Refusal {
    fn of(error: &KafkaError, reason: &str) -> Option<Self> {
        match error.rdkafka_error_code()? {
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => Some(Self::Login),
            // The same code stands for a connection that was cut in the handshake, which may pass.
            RDKafkaErrorCode::SSL if reason.contains("certificate") => Some(Self::Certificate),
            _ => None,
        }
    }

    fn failure(self, asked: &str) -> Failure {
        match self {
            Self::Login => Failure::new(Exit::BadConfig, format!("the broker refuses our log-in ({asked})")).fix(
                "correct sasl.mechanism, sasl.username and sasl.password (or sasl.password_file) in [kafka.properties]",
            ),
            Self::Certificate => Failure::new(Exit::BadConfig, format!("the broker's certificate is not trusted ({asked})"))
                .fix("name the certificate of the broker's CA by ssl.ca.location in [kafka.properties], and the broker by a name that its certificate has"),
        }
    }
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).last_failure = Some(reason(message));
        }
        if (level as i32) <= RDKafkaLogLevel::Warning as i32 {
            tracing::warn!(target: "librdkafka", facility, "{message}");
        } else {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(refusal) = Refusal::of(&error, reason) {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).refusal = Some(refusal);
        }
        tracing::warn!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Quiet {}

/// For a producer that sends nothing.
impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _delivery: &DeliveryResult<'_>, _opaque: ()) {}
}

impl Quiet {
    /// The failure to tell when the broker did not do what it was asked.
    #[must_use]
    pub fn failure(&self, brokers: &str, asked: &str, error: &KafkaError) -> Failure {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let why = heard.last_failure.unwrap_or_else(|| format!("{brokers}: {error}"));
        if let Some(refusal) = heard.refusal {
            return refusal.failure(asked).at(why);
        }
        let failure = if is_unreachable(error) {
            Failure::new(Exit::Unavailable, format!("the broker cannot be reached ({asked})"))
        } else {
            return Failure::new(Exit::Failed, format!("the broker refused: {asked}: {error}"))
                .at(brokers.to_owned())
                .fix("the broker's own log tells why; it may lack the right, or a version");
        };
        failure
            .at(why)
            .fix("start the broker, or `profile-linker dev`; or name another one by kafka.brokers (PROFILE_LINKER_KAFKA__BROKERS)")
    }
}

/// The reason in a log line such as `[thrd:x]: host:port/bootstrap: Connect to .. failed: Connection refused (after 0ms)`.
fn reason(message: &str) -> String {
    let text = message.split_once("]: ").map_or(message, |(_, text)| text);
    let text = text.split_once(" (after ").map_or(text, |(text, _)| text);
    text.replace("/bootstrap", "")
}

/// Whether an error means that no broker answers.
#[must_use]
pub fn is_unreachable(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, MessageTimedOut, OperationTimedOut, RequestTimedOut, Resolve,
    };
    let code = error.rdkafka_error_code();
    [AllBrokersDown, BrokerTransportFailure, MessageTimedOut, OperationTimedOut, RequestTimedOut, Resolve]
        .iter()
        .any(|one| code == Some(*one))
}

/// Whether an error passes by itself while a cluster elects leaders and coordinators.
#[must_use]
pub fn is_settling(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        CoordinatorLoadInProgress, CoordinatorNotAvailable, LeaderNotAvailable, NotCoordinator, NotLeaderForPartition,
        ReplicaNotAvailable,
    };
    let code = error.rdkafka_error_code();
    let passing = [LeaderNotAvailable, NotLeaderForPartition, ReplicaNotAvailable];
    let coordinator = [CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator];
    passing.iter().chain(&coordinator).any(|one| code == Some(*one))
}

/// A client with this configuration.
///
/// # Errors
/// librdkafka refuses the configuration: exit 78.
pub fn create<T: FromClientConfigAndContext<Quiet>>(config: &ClientConfig, context: &Quiet) -> Result<T, Failure> {
    config.create_with_context(context.clone()).map_err(|error| {
        let text = match error {
            // Without the value: it may be a password.
            KafkaError::ClientConfig(_, description, name, _) => format!("{name}: {description}"),
            other => other.to_string(),
        };
        Failure::new(Exit::BadConfig, format!("librdkafka refuses the configuration: {text}"))
            .at("kafka.properties")
            .fix(REFUSED_FIX)
    })
}

/// A reader of topics: answers about them, and what is in them.
#[derive(Clone)]
pub struct Reader {
    /// The client.
    pub consumer: Arc<StreamConsumer<Quiet>>,
    /// For its failures.
    pub context: Quiet,
    /// For messages.
    pub brokers: String,
}

impl Reader {
    /// A reader that is assigned nothing yet.
    ///
    /// # Errors
    /// See [`create`].
    pub fn new(endpoint: &super::endpoint::Endpoint) -> Result<Self, Failure> {
        let context = Quiet::default();
        let consumer: Arc<StreamConsumer<Quiet>> = Arc::new(create(&endpoint.reader(), &context)?);
        if let Some(rotation) = Rotation::of(&endpoint.properties, endpoint.password_file.as_deref()) {
            let followed = rotation.follow(&consumer, |consumer| consumer.client());
            followed.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        }
        Ok(Self { consumer, context, brokers: endpoint.brokers.clone() })
    }

    /// Asks the broker something, off the runtime's threads, since librdkafka's answers block. A topic that was made a
    /// moment ago has no leader yet: the question is asked again until it has.
    ///
    /// # Errors
    /// The broker is unreachable (69) or refuses (1).
    pub async fn ask<T: Send + 'static>(
        &self,
        asked: &str,
        question: impl Fn(&StreamConsumer<Quiet>) -> Result<T, KafkaError> + Send + Sync + 'static,
    ) -> Result<T, Failure> {
        let question = Arc::new(question);
        let until = Instant::now() + ANSWER_LIMIT;
        loop {
            let (consumer, asking) = (self.consumer.clone(), question.clone());
            let answer = tokio::task::spawn_blocking(move || asking(&consumer)).await;
            match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if is_settling(&error) && Instant::now() < until => tokio::time::sleep(SETTLE).await,
                Ok(Err(error)) => {
                    self.listen().await;
                    return Err(self.context.failure(&self.brokers, asked, &error));
                }
                Err(error) => return Err(Failure::new(Exit::Failed, format!("{asked}: {error}"))),
            }
        }
    }

    /// Lets librdkafka tell what went wrong: its log waits until somebody polls. Records are not lost by it, since a
    /// question that failed ends the command.
    async fn listen(&self) {
        let polling = async { while self.consumer.recv().await.is_err() {} };
        // Running out of time is the normal end.
        let _ = tokio::time::timeout(LISTEN, polling).await;
    }

    /// The partitions of a topic; empty if there is no such topic.
    ///
    /// # Errors
    /// See [`Reader::ask`].
    pub async fn partitions(&self, topic: &str) -> Result<Vec<i32>, Failure> {
        let name = topic.to_owned();
        self.ask("listing partitions", move |consumer| {
            let metadata = consumer.fetch_metadata(Some(&name), ANSWER_LIMIT)?;
            let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
                return Ok(Vec::new());
            };
            match topic.error().map(RDKafkaErrorCode::from) {
                None => Ok(topic.partitions().iter().map(|partition| partition.id()).collect()),
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(Vec::new()),
                Some(code) => Err(KafkaError::MetadataFetch(code)),
            }
        })
        .await
    }
}
