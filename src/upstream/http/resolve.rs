//! The addresses of one origin's name: one look-up at a time, shared by all who wait for it, its answer kept for a moment.
//!
//! A look-up is `getaddrinfo`, which holds a thread of tokio's blocking pool until the name servers answered or were given up,
//! after half a minute and more. It cannot be called off. With one for each dial, the silent name servers of one vendor take
//! the whole pool, and with it what the other vendors and Kafka need of it. So an origin has one look-up, whoever waits: it
//! runs in a task of its own, goes on when those who wait have given up, and is there for those who come after them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long an answer is used. Long enough that the dials of a start, or of an outage's end, ask once; far shorter than the
/// minute that name servers commonly give their answers, so a vendor's change of address is followed hardly later than without.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// A look-up that takes longer will not come back: the system gives its name servers up after a minute at most. Another begins
/// then, at the cost of one more thread each time.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(120);

/// What asks the name servers, each time anew.
type LookUp = Box<dyn Fn() -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// What a look-up came to; `None` while it runs.
type Asked = watch::Receiver<Option<Answer>>;

/// Where a name leads, in the order in which to try.
pub(super) type Addresses = Arc<[SocketAddr]>;

#[derive(Clone)]
struct Answer {
    /// `None`: the name did not resolve.
    addresses: Option<Addresses>,
    at: Instant,
}

/// Resolves the name of one origin.
pub(super) struct Resolver(Way);

enum Way {
    /// The host is an address.
    Literal(Addresses),
    Name {
        look_up: LookUp,
        /// The latest look-up, running or ended.
        latest: Mutex<Option<(Instant, Asked)>>,
    },
}

impl Resolver {
    /// Asks the system for `host`, unless that is an address.
    pub fn new(host: &str, port: u16) -> Self {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Self(Way::Literal(Arc::new([SocketAddr::new(address, port)])));
        }
        let host: Arc<str> = host.into();
        Self::asking(Box::new(move || {
            let host = Arc::clone(&host);
            Box::pin(async move { Ok(lookup_host((&*host, port)).await?.collect()) })
        }))
    }

    /// Asks `look_up`.
    pub fn asking(look_up: LookUp) -> Self {
        Self(Way::Name { look_up, latest: Mutex::new(None) })
    }

    /// The origin's addresses; `None` if its name did not resolve. Waits as long as the look-up takes: the caller limits that,
    /// and may go at any time.
    pub async fn addresses(&self) -> Option<Addresses> {
        let (look_up, latest) = match &self.0 {
            Way::Literal(addresses) => return Some(Arc::clone(addresses)),
            Way::Name { look_up, latest } => (look_up, latest),
        };
        let mut asked = current(look_up, latest);
        // An error: the look-up's task was dropped with its runtime.
        let answer = asked.wait_for(Option::is_some).await.ok()?;
        answer.as_ref()?.addresses.clone()
    }
}

/// The latest look-up if it is of use to a new caller, else one that begins now.
fn current(look_up: &LookUp, latest: &Mutex<Option<(Instant, Asked)>>) -> Asked {
    let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
    match &*latest {
        Some((began, asked)) if is_of_use(*began, asked) => asked.clone(),
        _ => latest.insert((Instant::now(), begin(look_up))).1.clone(),
    }
}

/// A failure is for those who waited for it; whoever comes later asks anew.
fn is_of_use(began: Instant, asked: &Asked) -> bool {
    match &*asked.borrow() {
        Some(answer) => answer.addresses.is_some() && answer.at.elapsed() < KEPT_FOR,
        // It runs, unless its task was dropped.
        None => began.elapsed() < GIVEN_UP_AFTER && asked.has_changed().is_ok(),
    }
}

fn begin(look_up: &LookUp) -> Asked {
    let (tell, asked) = watch::channel(None);
    let answer = look_up();
    tokio::spawn(async move {
        let addresses = answer.await.ok().filter(|found| !found.is_empty()).map(Addresses::from);
        // Dated here: those who waited may be gone, and the next one come after an hour.
        tell.send_replace(Some(Answer { addresses, at: Instant::now() }));
    });
    asked
}

#[cfg(test)]
pub(super) mod tests;
