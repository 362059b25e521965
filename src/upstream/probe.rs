//! Whether an upstream can be reached and takes our credential, asked so that nothing changes: PayIQ's log-in, a `GET` of
//! a customer at LoanPro, a `GET` of nobody's payments at Aloha. The answers' `Date` tells the vendor's clock.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::http::{Call, Exchange, Transport, TransportErrorKind};
use super::loanpro::{CustomerAnswer, CustomerId};
use super::retry_after::sent_at;
use super::{CustomerCheck, Gate, LinkTarget, setup};
use crate::config::{AlohaSettings, LoanProSettings, PayIqSettings};
use crate::domain::{Customer, System};

/// What a probe found.
pub struct Probe {
    /// Whether the worker could work with it.
    pub verdict: Verdict,
    /// Its clock.
    pub clock: Clock,
}

/// What was heard of an upstream's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// An answer told it.
    Told(ClockReading),
    /// It answered, without a `Date`.
    Untold,
    /// There was no answer.
    Unheard,
}

/// Whether the worker could work with an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It takes our credential.
    Fine(String),
    /// It answers, but not everything could be told.
    Doubtful(String),
    /// Our credential, tenant or address is wrong.
    Misconfigured(String),
    /// The probe customer is not there: either that setting is wrong, or the tenant.
    NoProbeCustomer(String),
    /// It answered 404 without a word: as if there were no such customer, which there is not, or no such address.
    Wordless,
    /// Its certificate is not one that we trust.
    Untrusted(String),
    /// It does not answer, or answers with its own trouble.
    Away(String),
}

/// Another clock, read between two readings of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// Ours before the question.
    pub before: Timestamp,
    /// Theirs.
    pub theirs: Timestamp,
    /// Ours after the answer.
    pub after: Timestamp,
}

/// Logs in to PayIQ.
pub async fn payiq(settings: &PayIqSettings) -> Probe {
    probed(setup::payiq_watched(settings), async |client| match client.log_in().await {
        Ok(()) => Verdict::Fine("it takes our key and signature".to_owned()),
        Err(super::payiq::LogInFailure::Passing(detail)) => Verdict::Away(detail),
        Err(super::payiq::LogInFailure::Misconfigured(detail)) => Verdict::Misconfigured(detail),
    })
    .await
}

/// Asks LoanPro for the probe customer; without one, for customer 1, whose absence says nothing.
pub async fn loanpro(settings: &LoanProSettings) -> Probe {
    let probe = settings.probe_customer_id.and_then(CustomerId::new);
    probed(setup::loanpro_watched(settings), async |client| {
        let Some(id) = probe.or(CustomerId::new(1)) else {
            return Verdict::Misconfigured("there is no customer 1".to_owned());
        };
        match (client.customer(id).await, probe) {
            (CustomerAnswer::Exists, Some(id)) => Verdict::Fine(format!("it knows the probe customer {id}")),
            (CustomerAnswer::Missing, Some(id)) => {
                Verdict::NoProbeCustomer(format!("it does not know the probe customer {id}: a wrong tenant answers so too"))
            }
            (CustomerAnswer::Exists | CustomerAnswer::Missing, None) => {
                Verdict::Doubtful("it takes our token; without probe_customer_id a wrong tenant cannot be told, and no customer is called missing before another was found".to_owned())
            }
            (CustomerAnswer::Refused(detail), _) => Verdict::Misconfigured(format!("{detail}: is instance_id right?")),
            (CustomerAnswer::Misconfigured(detail), _) => Verdict::Misconfigured(detail),
            (CustomerAnswer::Unclear(detail), _) => Verdict::Away(detail),
        }
    })
    .await
}

/// Asks Aloha for the payments of a customer that nobody is.
pub async fn aloha(settings: &AlohaSettings) -> Probe {
    probed(setup::aloha_watched(settings), async |client| {
        let nobody = Customer { system: System::Aloha, id: Uuid::nil().to_string() };
        match client.check_customer(&nobody).await {
            CustomerCheck::Exists | CustomerCheck::Missing | CustomerCheck::Unwitnessed { .. } => {
                Verdict::Fine("it takes our user and company".to_owned())
            }
            CustomerCheck::Misconfigured { detail } => Verdict::Misconfigured(detail),
            CustomerCheck::Unclear { detail } => Verdict::Away(detail),
        }
    })
    .await
}

/// A client under probe, and what was heard of its clock.
pub(super) type Watched<T> = Result<(T, Arc<Watching>), super::UpstreamError>;

async fn probed<T>(client: Watched<T>, ask: impl AsyncFnOnce(&T) -> Verdict) -> Probe {
    match client {
        Ok((client, watching)) => {
            let verdict = judge(ask(&client).await, &watching);
            Probe { verdict, clock: watching.heard().clock }
        }
        Err(error) => Probe { verdict: Verdict::Misconfigured(with_sources(&error)), clock: Clock::Unheard },
    }
}

/// A page that is not there means that the address is wrong, unless the vendor's client knew better; without a word nobody
/// knows better.
fn judge(verdict: Verdict, watching: &Watching) -> Verdict {
    let heard = watching.heard();
    match verdict {
        Verdict::Away(detail) if heard.untrusted => Verdict::Untrusted(detail),
        Verdict::Away(detail) if heard.status == Some(404) => {
            Verdict::Misconfigured(format!("{detail}: is base_url right?"))
        }
        Verdict::Fine(_) if heard.status == Some(404) && heard.wordless => Verdict::Wordless,
        other => other,
    }
}

/// An error with its sources, in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// What was heard last.
#[derive(Clone, Copy)]
struct Heard {
    status: Option<u16>,
    wordless: bool,
    untrusted: bool,
    clock: Clock,
}

impl Heard {
    const NOTHING: Self = Self { status: None, wordless: true, untrusted: false, clock: Clock::Unheard };

    fn of(exchange: &Exchange, before: Timestamp) -> Self {
        let answer = match exchange {
            Ok(answer) => answer,
            Err(error) => {
                return Self { untrusted: matches!(error.kind, TransportErrorKind::Certificate(_)), ..Self::NOTHING };
            }
        };
        let clock = |theirs| Clock::Told(ClockReading { before, theirs, after: answer.received_at });
        Self {
            status: Some(answer.status.as_u16()),
            wordless: answer.body.trim_ascii().is_empty(),
            untrusted: false,
            clock: sent_at(&answer.headers).map_or(Clock::Untold, clock),
        }
    }
}

/// A transport that notes what the last call came to.
pub(super) struct Watching {
    inner: Arc<dyn Transport>,
    last: Mutex<Heard>,
}

impl Watching {
    pub fn new(inner: Arc<dyn Transport>) -> Arc<Self> {
        Arc::new(Self { inner, last: Mutex::new(Heard::NOTHING) })
    }

    fn heard(&self) -> Heard {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Transport for Watching {
    async fn exchange(&self, call: Call, gate: &dyn Gate) -> Exchange {
        let before = Timestamp::now();
        let exchange = self.inner.exchange(call, gate).await;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Heard::of(&exchange, before);
        exchange
    }
}
