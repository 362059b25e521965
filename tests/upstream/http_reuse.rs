//! Connections that are used again, and those that turn out to be gone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use profile_linker::upstream::http::{Exchange, Transport, TransportError, TransportErrorKind};
use profile_linker::upstream::{Gate, OpenGate};
use tokio::sync::watch;

use super::server::{Server, answer_all, put, read_request, respond, within, write};

fn body(exchange: Exchange) -> String {
    String::from_utf8(exchange.ok().unwrap().body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start(answer_all).await;
    let client = server.client();
    for _ in 0..5 {
        assert_eq!(body(client.exchange(put(), &OpenGate).await), "from 1");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn calls_at_the_same_time_have_connections_of_their_own() {
    let server = Server::start(answer_all).await;
    let client = server.client();
    let calls = (0..20).map(|_| client.exchange(put(), &OpenGate));
    for exchange in futures_util::future::join_all(calls).await {
        assert!(exchange.is_ok());
    }
    assert!(server.connections() > 1);
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_is_replaced() {
    let (close, closed) = watch::channel(false);
    let server = Server::start(move |mut stream, number| {
        let close = close.clone();
        async move {
            if number > 1 {
                return answer_all(stream, number).await;
            }
            read_request(&mut stream).await;
            respond(&mut stream, "from 1").await;
            drop(stream);
            close.send(true).unwrap();
        }
    })
    .await;
    let client = server.client();
    assert_eq!(body(client.exchange(put(), &OpenGate).await), "from 1");
    within(closed.clone().wait_for(|closed| *closed)).await.unwrap();
    assert_eq!(body(client.exchange(put(), &OpenGate).await), "from 2");
}

/// Counts, and lets the server close the idle connection between the question and the answer.
struct ClosesMeanwhile {
    asked: AtomicUsize,
    close: watch::Sender<bool>,
    closed: watch::Receiver<bool>,
}

#[async_trait]
impl Gate for ClosesMeanwhile {
    async fn opens(&self) -> bool {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 0 {
            self.close.send(true).unwrap();
            within(self.closed.clone().wait_for(|closed| *closed)).await.unwrap();
        }
        true
    }
}

#[tokio::test]
async fn the_gate_is_asked_again_for_the_connection_that_replaces_a_closed_one() {
    let (close, close_now) = watch::channel(false);
    let (tell, closed) = watch::channel(false);
    let server = Server::start(move |mut stream, number| {
        let (mut close_now, tell) = (close_now.clone(), tell.clone());
        async move {
            if number > 1 {
                return answer_all(stream, number).await;
            }
            read_request(&mut stream).await;
            respond(&mut stream, "from 1").await;
            close_now.wait_for(|close| *close).await.unwrap();
            drop(stream);
            tell.send(true).unwrap();
        }
    })
    .await;
    let client = server.client();
    assert_eq!(body(client.exchange(put(), &OpenGate).await), "from 1");
    let gate = ClosesMeanwhile { asked: AtomicUsize::new(0), close, closed };
    assert_eq!(body(client.exchange(put(), &gate).await), "from 2");
    assert_eq!(gate.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_that_was_written_on_a_reused_connection_is_never_sent_again() {
    let server = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        respond(&mut stream, "first").await;
        // Reads the second request, so it is written, and closes without an answer.
        read_request(&mut stream).await;
    })
    .await;
    let client = server.client();
    assert_eq!(body(client.exchange(put(), &OpenGate).await), "first");
    let error = client.exchange(put(), &OpenGate).await.err();
    assert_eq!(error, Some(TransportError::sent(TransportErrorKind::Reset)));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_not_trusted_for_long() {
    let server = Server::start(answer_all).await;
    let client = server.client();
    assert_eq!(body(client.exchange(put(), &OpenGate).await), "from 1");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::time::resume();
    assert_eq!(body(client.exchange(put(), &OpenGate).await), "from 2");
}

#[tokio::test]
async fn a_server_that_closes_every_connection_unread_ends_the_call_without_an_answer() {
    let server = Server::start(|stream, _| async move { drop(stream) }).await;
    assert!(within(server.client().exchange(put(), &OpenGate)).await.is_err());
    assert!(server.connections() <= 3, "bounded");
}

#[tokio::test]
async fn an_answer_that_closes_the_connection_is_not_followed_by_another_call_on_it() {
    let server = Server::start(|mut stream, number| async move {
        read_request(&mut stream).await;
        let text = format!("from {number}");
        write(&mut stream, &format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\n{text}")).await;
        read_request(&mut stream).await;
    })
    .await;
    let client = server.client();
    assert_eq!(body(client.exchange(put(), &OpenGate).await), "from 1");
    assert_eq!(body(client.exchange(put(), &OpenGate).await), "from 2");
}
