//! Idle connections, bounded in number and age. Only connections on which nothing is outstanding come here.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connect::Connection;

/// How many idle connections are kept. More calls than that at once is rare, and a new connection is cheap then.
const MAX_IDLE: usize = 64;

/// How long an idle connection is trusted. Servers and balancers commonly close after 30 to 60 s, some without saying so.
pub const IDLE_LIMIT: Duration = Duration::from_secs(20);

struct Idle {
    connection: Connection,
    since: Instant,
}

/// The idle connections of one origin, the most recently used one on top.
#[derive(Default)]
pub struct Pool(Mutex<Vec<Idle>>);

impl Pool {
    /// Takes the most recently used connection that is young enough and not known to be closed.
    pub fn take(&self) -> Option<Connection> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|entry| entry.since.elapsed() < IDLE_LIMIT && !entry.connection.sender.is_closed());
        idle.pop().map(|entry| entry.connection)
    }

    /// Keeps a connection for the next call. Above the limit the oldest one goes.
    pub fn put(&self, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= MAX_IDLE {
            idle.remove(0);
        }
        idle.push(Idle { connection, since: Instant::now() });
    }
}
