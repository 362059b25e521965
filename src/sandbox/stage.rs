//! Plays one call: note it, let a fault have its way, apply it, answer. Everything that a call reads or writes is behind
//! one lock that is never held across a wait; no call copies more than it answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use tokio::time::sleep;

use super::answer;
use super::books::{Books, Moment};
use super::calls::{Call, CallLog};
use super::credentials::StrictCredentials;
use super::faults::{Act, Fault, Faults};
use super::payiq::sessions::Sessions;

/// How long a `hang` keeps a connection at most. Longer than any client's patience.
const HANG: Duration = Duration::from_secs(600);

/// Whether a call takes effect or only says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is written into the books.
    Real,
    /// The answer is the good one, and nothing is written.
    Feigned,
}

impl Effect {
    /// Whether to write.
    #[must_use]
    pub fn is_real(self) -> bool {
        self == Self::Real
    }
}

/// All state.
pub struct World {
    /// What was really done; kept across runs.
    pub books: Books,
    /// The faults in force.
    pub faults: Faults,
    /// Which calls came in.
    pub calls: CallLog,
    /// PayIQ's bearer tokens.
    pub sessions: Sessions,
    /// Which credentials are right.
    pub credentials: StrictCredentials,
}

/// The shared handle to the one [`World`].
#[derive(Clone)]
pub struct Stage(Arc<Mutex<World>>);

impl Stage {
    /// A stage over these books.
    #[must_use]
    pub fn new(books: Books, credentials: StrictCredentials) -> Self {
        let (faults, calls, sessions) = (Faults::default(), CallLog::default(), Sessions::default());
        Self(Arc::new(Mutex::new(World { books, faults, calls, sessions, credentials })))
    }

    /// The world, locked. A panic under the lock (a bug) must not stop the other calls, so poison is ignored.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays a call. If the caller leaves while a fault delays it, what is not applied yet never is.
    pub async fn perform<F>(&self, call: Call, play: F) -> Response
    where
        F: FnOnce(&mut World, Effect) -> Response,
    {
        let (number, fault) = {
            let mut world = self.world();
            let fault = world.faults.strike(&call);
            let number = world.calls.begin(&call, fault.as_ref().map(|fault| fault.act.name()), Moment::now());
            (number, fault)
        };
        let response = match fault {
            None => self.apply(play, Effect::Real),
            Some(fault) => self.sabotage(fault, play).await,
        };
        self.world().calls.finish(number, answer::status(&response));
        response
    }

    fn apply<F>(&self, play: F, effect: Effect) -> Response
    where
        F: FnOnce(&mut World, Effect) -> Response,
    {
        let mut world = self.world();
        if world.books.full() {
            let message = "the sandbox's books are full: restart it, with a new file if it has one";
            return answer::json(StatusCode::INSUFFICIENT_STORAGE, &json!({ "error": message }));
        }
        play(&mut world, effect)
    }

    async fn sabotage<F>(&self, fault: Fault, play: F) -> Response
    where
        F: FnOnce(&mut World, Effect) -> Response,
    {
        if fault.act == Act::Delay {
            sleep(fault.delay).await;
            return self.apply(play, Effect::Real);
        }
        let response = match fault.act {
            Act::Delay | Act::ApplyDelay => self.apply(play, Effect::Real),
            Act::Nothing => self.apply(play, Effect::Feigned),
            Act::Drop => answer::severed(),
            Act::ApplyDrop => {
                drop(self.apply(play, Effect::Real));
                answer::severed()
            }
            Act::Garbage => {
                drop(self.apply(play, Effect::Real));
                answer::garbage()
            }
            Act::Hang => {
                sleep(HANG).await;
                answer::severed()
            }
            Act::Status(reply) => reply.response(),
        };
        sleep(fault.delay).await;
        response
    }
}
