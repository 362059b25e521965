//! How a command that changes dead letters is asked to stop: the first signal ends it after the write that is under way, a second one at once.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::cli::signals::Signals;

/// How long a write may take that was under way as the first signal came. One that answers takes a few milliseconds; who waits
/// for one that does not answer has asked for an end.
const GRACE: Duration = Duration::from_secs(3);

/// What asks it to stop.
pub struct Stop {
    asked: UnboundedReceiver<()>,
    is_asked: bool,
}

impl Stop {
    /// SIGTERM and SIGINT, from now on.
    ///
    /// # Errors
    /// The system refuses to tell of them.
    pub fn listen() -> io::Result<Self> {
        let mut signals = Signals::listen()?;
        let (ask, asked) = unbounded_channel();
        tokio::spawn(async move {
            // Until nobody listens any more.
            while !ask.is_closed() {
                signals.next().await;
                let _ = ask.send(());
            }
        });
        Ok(Self::of(asked))
    }

    fn of(asked: UnboundedReceiver<()>) -> Self {
        Self { asked, is_asked: false }
    }

    /// Waits until it is asked for; from then on it answers at once.
    pub async fn asked(&mut self) {
        if !self.is_asked {
            self.again().await;
            self.is_asked = true;
        }
    }

    /// Waits for something that changes nothing; `None`: a stop is asked for.
    pub async fn or<T>(&mut self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.asked() => None,
            done = wait => Some(done),
        }
    }

    /// Waits for a write, also where a stop is asked for meanwhile; `None`: it was asked for twice, or the write does not answer,
    /// and nobody knows what it did.
    pub async fn after<T>(&mut self, write: impl Future<Output = T>) -> Option<T> {
        let mut write = pin!(write);
        tokio::select! {
            biased;
            done = &mut write => return Some(done),
            () = self.asked() => {}
        }
        tokio::select! {
            biased;
            done = &mut write => Some(done),
            () = self.again() => None,
            () = tokio::time::sleep(GRACE) => None,
        }
    }

    async fn again(&mut self) {
        if self.asked.recv().await.is_none() {
            // Nobody is left to ask.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::mpsc::UnboundedSender;
    use tokio::time::{Instant, sleep};

    use super::*;

    fn stop() -> (UnboundedSender<()>, Stop) {
        let (ask, asked) = unbounded_channel();
        (ask, Stop::of(asked))
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_the_first_signal_and_none_begins_after_it() {
        let (ask, mut stop) = stop();
        assert_eq!(stop.or(async { 1 }).await, Some(1));
        ask.send(()).unwrap();
        assert_eq!(stop.or(pending::<u8>()).await, None);
        assert_eq!(stop.or(async { 1 }).await, None, "it is still asked for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_under_way_is_waited_for_a_few_seconds() {
        let (ask, mut stop) = stop();
        ask.send(()).unwrap();
        let write = async {
            sleep(GRACE / 2).await;
            1
        };
        assert_eq!(stop.after(write).await, Some(1));
        assert_eq!(stop.or(async { 1 }).await, None, "the signal is not forgotten");
        let began = Instant::now();
        assert_eq!(stop.after(pending::<u8>()).await, None);
        assert_eq!(began.elapsed(), GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_ends_a_write_at_once() {
        let (ask, mut stop) = stop();
        ask.send(()).unwrap();
        ask.send(()).unwrap();
        let began = Instant::now();
        assert_eq!(stop.after(pending::<u8>()).await, None);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
