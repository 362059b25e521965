//! What people and their tools see of a running worker, and the little they may tell it: an HTTP server in the worker's own
//! process (contract, section 6).
//!
//! Its shape: `server` owns the connections and their limits, `places` how many they are, `routes` says what is where, `guard`
//! who may change something; `health`, [`crate::conditions`] and [`crate::metrics`] are what is read, `intake` is what is
//! changed. Beside it, `watch` asks every other second what nobody else asks: whether the broker answers, and how far its logs
//! go. No event's fate is decided here.

mod answer;
mod guard;
mod health;
mod intake;
mod pace;
mod places;
mod routes;
mod server;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::conditions::{Conditions, Health, Part, Trouble};
use crate::config::AdminSettings;
use crate::domain::Secret;
use crate::kafka::Source;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::pulse::Pulse;
use crate::worker::PauseWatch;

use self::guard::Guard;
pub(crate) use self::guard::{MIN_TOKEN_BYTES, TOKEN_UNREADABLE, guessable};

/// Why there is no admin server.
#[derive(Debug, Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    /// Where it was to listen.
    pub address: SocketAddr,
    /// Why not.
    pub source: std::io::Error,
}

/// An address that is taken for the server; nobody is answered yet.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

/// A loop of the process that `/healthz` asks for.
#[derive(Clone)]
pub struct Loop {
    /// Its name in the answer.
    pub name: &'static str,
    /// Its last turn.
    pub pulse: Pulse,
    /// Longer silence means that it is stuck.
    pub limit: Duration,
}

/// What the server tells of, and acts on.
pub struct AdminParts {
    /// For pauses.
    pub ledger: Arc<dyn Ledger>,
    /// What reads them.
    pub pauses: PauseWatch,
    /// For the broker's condition and the lag.
    pub source: Arc<dyn Source>,
    /// The input topic.
    pub topic: String,
    /// The body of `/readyz`.
    pub conditions: Conditions,
    /// The body of `/metrics`.
    pub metrics: Metrics,
    /// What `/healthz` asks.
    pub loops: Vec<Loop>,
}

/// A running server. Dropped without [`Running::stop`] it goes on until its process ends.
pub struct Running {
    address: SocketAddr,
    made_token: Option<Secret>,
    conditions: Conditions,
    stopping: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// What every handler shares.
struct State {
    guard: Guard,
    conditions: Conditions,
    metrics: Metrics,
    loops: Vec<Loop>,
    ledger: Arc<dyn Ledger>,
    pauses: PauseWatch,
}

impl Door {
    /// Takes the address; port 0 takes a free one.
    ///
    /// # Errors
    /// It is taken, or not this machine's.
    pub async fn open(address: SocketAddr) -> Result<Self, ListenError> {
        let failed = |source| ListenError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }
}

/// Serves at the door until it is stopped. The pauses that are in the ledger already are known when this returns, if the
/// ledger answers.
pub async fn serve(door: Door, settings: &AdminSettings, parts: AdminParts) -> Running {
    let AdminParts { ledger, pauses, source, topic, conditions, metrics, loops } = parts;
    pauses.refresh().await;
    let (guard, made_token) = Guard::new(settings.token.clone(), door.address);
    let stopping = CancellationToken::new();
    let broker = watch::Broker { source, topic, conditions: conditions.clone(), metrics: metrics.clone() };
    let state = State { guard, conditions: conditions.clone(), metrics, loops, ledger, pauses };
    let tasks = vec![
        tokio::spawn(server::serve(door.listener, routes::routes(Arc::new(state)), stopping.clone())),
        tokio::spawn(broker.run(stopping.clone())),
    ];
    Running { address: door.address, made_token, conditions, stopping, tasks }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token that was made at start, where none is configured.
    #[must_use]
    pub fn made_token(&self) -> Option<&Secret> {
        self.made_token.as_ref()
    }

    /// Says that the worker takes nothing new any more: for as long as the answer lives it is not ready.
    pub fn leaving(&self) -> Trouble {
        self.conditions.trouble(Part::Intake, Health::Paused, "the worker is being stopped")
    }

    /// Ends: no new connections, a second for the answers on their way.
    pub async fn stop(self) {
        self.stopping.cancel();
        for task in self.tasks {
            // A task ends early by panic only, which ends the process.
            drop(task.await);
        }
    }
}
