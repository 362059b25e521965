//! The gate: asked with a connection in hand, and before any byte.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use profile_linker::upstream::http::{Transport, TransportError, TransportErrorKind};
use profile_linker::upstream::{Gate, OpenGate};
use tokio::io::AsyncReadExt;
use tokio::sync::{Notify, watch};

use super::server::{LIMIT, Server, answer_all, put, respond, within};

/// Counts how often it is asked, and answers as it is told.
struct Counted {
    asked: AtomicUsize,
    open: bool,
}

#[async_trait]
impl Gate for Counted {
    async fn opens(&self) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.open
    }
}

/// Opens when told to.
struct Held {
    reached: Notify,
    release: Notify,
}

#[async_trait]
impl Gate for Held {
    async fn opens(&self) -> bool {
        self.reached.notify_one();
        self.release.notified().await;
        true
    }
}

/// Opens once the server has accepted a connection, and asserts that it has.
struct AfterConnect(watch::Receiver<bool>, AtomicBool);

#[async_trait]
impl Gate for AfterConnect {
    async fn opens(&self) -> bool {
        let mut accepted = self.0.clone();
        let is_accepted = within(accepted.wait_for(|accepted| *accepted)).await.is_ok();
        self.1.store(is_accepted, Ordering::SeqCst);
        true
    }
}

#[tokio::test]
async fn no_byte_leaves_while_the_gate_is_shut() {
    let (early, saw_early) = watch::channel(None);
    let (released, was_released) = watch::channel(false);
    let server = Server::start(move |mut stream, _| {
        let (early, was_released) = (early.clone(), was_released.clone());
        async move {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            early.send(Some(!*was_released.borrow())).unwrap();
            respond(&mut stream, "fine").await;
        }
    })
    .await;
    let gate = Held { reached: Notify::new(), release: Notify::new() };
    let client = server.client();
    let (exchange, ()) = tokio::join!(client.exchange(put(), &gate), async {
        within(gate.reached.notified()).await;
        // The server is up and would see a byte: it has the connection, and gets time to look at it.
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert_eq!(*saw_early.borrow(), None, "a byte came while the gate was shut");
        }
        released.send(true).unwrap();
        gate.release.notify_one();
    });
    assert!(exchange.is_ok());
    assert_eq!(*saw_early.borrow(), Some(false));
}

#[tokio::test]
async fn the_gate_is_asked_after_the_connection_is_there() {
    let (accept, accepted) = watch::channel(false);
    let server = Server::start(move |stream, number| {
        let accept = accept.clone();
        async move {
            accept.send(true).unwrap();
            answer_all(stream, number).await;
        }
    })
    .await;
    let gate = AfterConnect(accepted, AtomicBool::new(false));
    assert!(server.client().exchange(put(), &gate).await.is_ok());
    assert!(gate.1.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_shut_gate_withdraws_the_call_unsent_and_keeps_the_connection() {
    let server = Server::start(answer_all).await;
    let client = server.client();
    let shut = Counted { asked: AtomicUsize::new(0), open: false };
    let error = client.exchange(put(), &shut).await.err();
    assert_eq!(error, Some(TransportError::unsent(TransportErrorKind::Withdrawn)));
    assert_eq!(shut.asked.load(Ordering::SeqCst), 1);
    assert!(client.exchange(put(), &OpenGate).await.is_ok());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_gate_is_not_asked_where_no_connection_comes_about() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = super::server::client(&format!("http://127.0.0.1:{port}/"), Duration::from_secs(1));
    let gate = Counted { asked: AtomicUsize::new(0), open: true };
    assert!(client.exchange(put(), &gate).await.is_err());
    assert_eq!(gate.asked.load(Ordering::SeqCst), 0);
}

/// Takes its time before it opens: by the clock, not by the test's.
struct Slow {
    asked: AtomicUsize,
    first: Duration,
}

#[async_trait]
impl Gate for Slow {
    async fn opens(&self) -> bool {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 0 {
            tokio::time::pause();
            tokio::time::advance(self.first).await;
            tokio::time::resume();
        }
        true
    }
}

#[tokio::test]
async fn waiting_for_the_gate_does_not_use_up_the_time_of_the_call() {
    let server = Server::start(answer_all).await;
    let gate = Slow { asked: AtomicUsize::new(0), first: LIMIT + Duration::from_secs(1) };
    assert!(server.client().exchange(put(), &gate).await.is_ok());
    assert_eq!((gate.asked.load(Ordering::SeqCst), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_connection_that_waited_long_at_the_gate_is_replaced_and_the_gate_asked_again() {
    let server = Server::start(answer_all).await;
    let gate = Slow { asked: AtomicUsize::new(0), first: Duration::from_secs(60) };
    assert!(server.client().exchange(put(), &gate).await.is_ok());
    assert_eq!((gate.asked.load(Ordering::SeqCst), server.connections()), (2, 2));
}
