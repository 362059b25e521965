//! Raw HTTP to the vendors: connects, gates, effects that happen before or after the time-out, answers that get lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use profile_linker::upstream::Gate;
use profile_linker::upstream::http::{Answer, Call, Exchange, Transport, TransportError, TransportErrorKind};
use profile_linker::upstream::journal::{self, Note};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::asking::event_of;
use crate::mutations::{self, Mutation};
use crate::plan::Trouble;
use crate::process::{Process, wall_ms};
use crate::vendors::{Reply, Request, Vendor, customer_of};
use crate::world::{State, World};

/// Limit of one call.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a write may take to become visible; with the time-out the latest that a vendor may apply anything.
pub const SETTLE: Duration = Duration::from_secs(2);

/// A process's connections to one vendor.
pub struct WorldTransport {
    pub process: Arc<Process>,
    pub vendor: Vendor,
}

/// What befalls one call.
struct Fate {
    /// Until the vendor has it; `None`: never.
    arrives_in: Option<Duration>,
    /// Until its answer is back; `None`: never.
    answered_in: Option<Duration>,
    broken: Option<Duration>,
}

#[async_trait]
impl Transport for WorldTransport {
    async fn exchange(&self, call: Call, gate: &dyn Gate) -> Exchange {
        let operation = call.operation;
        let number = self.begin(&call);
        let exchange = self.perform(call, gate).await;
        self.process.world.lock().call_ends(number);
        let status = exchange.as_ref().ok().map(|answer| answer.status.as_u16());
        let error = exchange.as_ref().err().map(|error| error.kind);
        let (upstream, took) = (self.vendor.name(), Duration::ZERO);
        journal::note(Note { upstream, operation, status, error, listed: false, took, waited: Duration::ZERO });
        exchange
    }
}

impl WorldTransport {
    fn begin(&self, call: &Call) -> u32 {
        let request = Request::new(self.vendor, call, false, self.process.number);
        let mut state = self.process.world.lock();
        state.call_begins(self.process.number, call.operation, request.event_key())
    }

    async fn perform(&self, call: Call, gate: &dyn Gate) -> Exchange {
        let asked_at = self.process.world.now();
        self.process.boundary(call.operation).await;
        self.connect().await?;
        self.process.before_call(call.operation).await;
        let ungated = self.process.world.lock().is(Mutation::NoFreshnessCheck);
        if !ungated {
            self.pass(gate).await?;
        }
        let late = self.freezes_in_the_gap(&call).await;
        let operation = call.operation;
        let request = Request::new(self.vendor, &call, late, self.process.number);
        if self.process.world.lock().kills(&request) {
            self.process.crash("an event that ends its process");
            self.process.running().await;
        }
        let request = Arc::new(request);
        self.process.world.lock().invariant_what_may_be_linked_is_looked_for_first(&request, asked_at);
        let exchange = self.send(&call, Arc::clone(&request)).await;
        self.process.answered(operation).await;
        self.remember(&call, &request, &exchange);
        exchange
    }

    async fn connect(&self) -> Result<(), TransportError> {
        let world = &self.process.world;
        let slow = world.strikes(|rates| rates.slow_connect);
        world.pass(0, if slow { 4_000 } else { 20 }).await;
        self.process.running().await;
        let mut state = world.lock();
        let failing = state.trouble_of(self.vendor) == Some(Trouble::Failing);
        let down = failing && state.chance.permille(500);
        if down || state.strikes(|rates| rates.connect) {
            state.coverage.fault("no connection", self.vendor.name());
            return Err(TransportError::unsent(TransportErrorKind::Connect));
        }
        Ok(())
    }

    /// The gate is asked as the last step: a process that froze while it waited asks again.
    async fn pass(&self, gate: &dyn Gate) -> Result<(), TransportError> {
        loop {
            if !gate.opens().await {
                self.process.running().await;
                self.process.world.lock().coverage.fault("withdrawn", self.vendor.name());
                return Err(TransportError::unsent(TransportErrorKind::Withdrawn));
            }
            if self.process.is_running() {
                return Ok(());
            }
            self.process.running().await;
        }
    }

    /// The named residue: between the check and the kernel's send nothing can be checked.
    async fn freezes_in_the_gap(&self, call: &Call) -> bool {
        let changing = call.headers.contains_key("idempotency-key");
        if !changing || !self.process.world.strikes(|rates| rates.freeze_in_gap / 4) {
            return false;
        }
        let seconds = self.process.world.lock().chance.pick(&[2, 10, 40]);
        self.process.freeze(Duration::from_secs(seconds), "gap");
        self.process.running().await;
        let mut state = self.process.world.lock();
        state.residue += 1;
        state.coverage.fault("freeze in the gap", self.vendor.name());
        true
    }

    /// What follows of an answer for its sender.
    fn remember(&self, call: &Call, request: &Request, exchange: &Exchange) {
        let mut state = self.process.world.lock();
        state.forget_refused_call(request, exchange);
        state.owe_looks_of_link(request, exchange);
        state.owe_note_of_link(request, exchange);
        if call.operation == "lookup" {
            state.looked(self.process.number, &call.target, exchange);
        }
    }

    async fn send(&self, call: &Call, request: Arc<Request>) -> Exchange {
        let fate = self.fate(call.operation);
        let way = {
            let mut state = self.process.world.lock();
            let (number, operation) = (self.process.number, call.operation);
            state.say(|| format!("{number} sends {operation} {}", call.target));
            state.order_of_sending(&request);
            state.note_call(&request);
            let key = call.headers.get("idempotency-key").and_then(|key| key.to_str().ok());
            key.map_or(0, |key| state.leaves(&request, key))
        };
        let (answer, mut answered) = oneshot::channel();
        let world = Arc::clone(&self.process.world);
        if let Some(arrives_in) = fate.arrives_in {
            tokio::spawn(async move {
                tokio::time::sleep(arrives_in).await;
                let reply = apply(&world, &request);
                world.lock().has_arrived(way);
                // The caller may be gone; the vendor does not know.
                let _ = answer.send(reply);
            });
        }
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        let broken = fate.broken.map(|after| tokio::time::Instant::now() + after);
        let until = broken.map_or(deadline, |at| at.min(deadline));
        let reply = async {
            match (&mut answered).await {
                Ok(reply) => {
                    match fate.answered_in {
                        Some(back) => tokio::time::sleep(back).await,
                        None => std::future::pending().await,
                    }
                    reply
                }
                Err(_) => std::future::pending().await,
            }
        };
        match tokio::time::timeout_at(until, reply).await {
            Ok(reply) => Ok(self.answer(reply)),
            Err(_) => {
                let kind = if broken.is_some() { TransportErrorKind::Reset } else { TransportErrorKind::Timeout };
                self.process.world.lock().coverage.fault("no answer", self.vendor.name());
                Err(TransportError::sent(kind))
            }
        }
    }

    fn fate(&self, operation: &str) -> Fate {
        let mut state = self.process.world.lock();
        let ms = |state: &mut State, from, to| Duration::from_millis(state.chance.between(from, to));
        let mut fate =
            Fate { arrives_in: Some(ms(&mut state, 1, 60)), answered_in: Some(ms(&mut state, 1, 60)), broken: None };
        if state.strikes(|rates| rates.call_lost_before) {
            fate.arrives_in = None;
        } else if state.strikes(|rates| rates.call_lost_after) {
            fate.answered_in = None;
        }
        let link_slow = operation == "link" && state.strikes(|rates| rates.link_slow);
        if state.strikes(|rates| rates.call_slow) || link_slow {
            // The latest that is promised to be looked after.
            fate.arrives_in = fate.arrives_in.map(|_| ms(&mut state, 0, 11_000));
            fate.answered_in = fate.answered_in.map(|_| ms(&mut state, 0, 11_000));
        }
        let unanswered = fate.arrives_in.is_none() || fate.answered_in.is_none();
        if unanswered && state.chance.permille(500) {
            fate.broken = Some(ms(&mut state, 1, 3_000));
        }
        fate
    }

    fn answer(&self, reply: Reply) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(seconds) = reply.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        let body = match reply.body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        let received_at = wall_ms(self.process.world.now());
        Answer {
            status: StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers,
            body: Zeroizing::new(body),
            received_at: jiff::Timestamp::from_millisecond(received_at).unwrap_or_default(),
        }
    }
}

impl State {
    /// Whether the process ends that is about to send this.
    fn kills(&self, request: &Request) -> bool {
        let killer = self.plan.killer.and_then(|number| event_of(&number.to_string()));
        killer.is_some() && request.event_key() == killer
    }
}

/// The vendor gets the request.
fn apply(world: &World, request: &Request) -> Reply {
    let mut state = world.lock();
    if let Some(reply) = mutations::lie(&state, request) {
        return reply;
    }
    let trouble = state.trouble_of(request.vendor);
    if trouble == Some(Trouble::Refusing) && request.vendor == Vendor::LoanPro && state.plan.vendors.answers_others {
        return answer_as_another_tenant(&mut state, request);
    }
    if trouble.is_some() || state.strikes(|rates| rates.call_refused) {
        return refuse(&mut state, trouble.unwrap_or(Trouble::Failing), request);
    }
    let reply = state.serve(request);
    state.changed = true;
    state.check_step();
    reply
}

/// Nobody whom it is asked for is in that tenant, and its lists are empty.
fn answer_as_another_tenant(state: &mut State, request: &Request) -> Reply {
    state.coverage.fault("another tenant", request.operation);
    if request.operation == "lookup" {
        state.vendors.misread.insert(customer_of(&request.target));
    }
    let (status, body) = match request.operation {
        "lookup" => (200, json!({"d": {"results": []}})),
        "link" if state.chance.permille(500) => (409, json!({"error": {"message": "no such thing"}})),
        "link" | "promote" => (401, Value::Null),
        _ => (404, json!({"error": {"message": "customer does not exist"}})),
    };
    Reply { status, body, retry_after: None }
}

/// A vendor that is away, or that fails this once.
fn refuse(state: &mut State, trouble: Trouble, request: &Request) -> Reply {
    state.coverage.fault("away", request.vendor.name());
    let status = match trouble {
        Trouble::Failing => state.chance.pick(&[500, 503, 429]),
        Trouble::Throttling => 429,
        Trouble::Refusing => 401,
    };
    // Half of these have done it all the same.
    if status == 500 && state.chance.permille(500) {
        state.serve(request);
    }
    let retry_after = (matches!(status, 429 | 503) && state.chance.permille(300)).then(|| state.chance.between(1, 5));
    Reply { status, body: Value::Null, retry_after }
}
