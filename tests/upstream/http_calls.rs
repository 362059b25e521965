//! One call over the wire: what is written, and what each kind of trouble becomes.

use std::time::Duration;

use profile_linker::upstream::OpenGate;
use profile_linker::upstream::http::{Exchange, MAX_BODY_BYTES, Transport, TransportError, TransportErrorKind};
use tokio::sync::mpsc;

use super::server::{Server, client, put, read_request, respond, within, write};

/// Short enough for a test, long enough for a loaded machine to connect and send.
const SHORT: Duration = Duration::from_millis(400);

fn failure(exchange: Exchange) -> TransportError {
    match exchange {
        Ok(answer) => panic!("an answer {}", answer.status),
        Err(error) => error,
    }
}

/// What a client sees whose server reads the request, then writes `answer` and closes.
async fn after_request(answer: &'static str) -> Exchange {
    let server = Server::start(move |mut stream, _| async move {
        read_request(&mut stream).await;
        write(&mut stream, answer).await;
    })
    .await;
    server.client().exchange(put(), &OpenGate).await
}

#[tokio::test]
async fn a_call_carries_method_path_host_and_body() {
    let (requests, mut seen) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let requests = requests.clone();
        async move {
            requests.send(read_request(&mut stream).await).unwrap();
            respond(&mut stream, "fine").await;
        }
    })
    .await;
    let answer = server.client().exchange(put(), &OpenGate).await.ok().unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, b"fine".as_slice()));
    let request = within(seen.recv()).await.flatten().unwrap();
    let head = request.to_lowercase();
    assert!(request.starts_with("PUT /base/thing?a=b HTTP/1.1\r\n"), "{request}");
    assert!(head.contains(&format!("host: 127.0.0.1:{}\r\n", server.port)), "{request}");
    assert!(head.contains("content-type: application/json\r\n") && head.contains("accept: application/json\r\n"));
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = client(&format!("http://127.0.0.1:{port}/"), SHORT);
    let error = failure(client.exchange(put(), &OpenGate).await);
    assert_eq!(error, TransportError::unsent(TransportErrorKind::Connect));
}

#[tokio::test]
async fn a_server_that_closes_after_the_request_may_have_applied_it() {
    let error = failure(after_request("").await);
    assert_eq!(error, TransportError::sent(TransportErrorKind::Reset));
}

#[tokio::test]
async fn a_body_that_ends_early_is_no_answer() {
    let error = failure(after_request("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"d\":{").await);
    assert_eq!(error, TransportError::sent(TransportErrorKind::Reset));
    let error = failure(after_request("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n").await);
    assert_eq!(error, TransportError::sent(TransportErrorKind::Reset));
}

#[tokio::test]
async fn what_is_not_http_may_have_applied_the_request() {
    let error = failure(after_request("SSH-2.0-OpenSSH_9.2\r\n\r\n").await);
    assert_eq!(error, TransportError::sent(TransportErrorKind::Malformed));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let answer = after_request("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(answer.ok().unwrap().status.as_u16(), 302);
}

#[tokio::test]
async fn a_server_that_never_answers_times_out_as_sent() {
    let server = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        read_request(&mut stream).await;
    })
    .await;
    let error = failure(within(server.client_within(SHORT).exchange(put(), &OpenGate)).await);
    assert_eq!(error, TransportError::sent(TransportErrorKind::Timeout));
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off_by_the_limit_of_the_whole_call() {
    let server = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..10_000 {
            ticks.tick().await;
            write(&mut stream, "x").await;
        }
    })
    .await;
    let error = failure(within(server.client_within(SHORT).exchange(put(), &OpenGate)).await);
    assert_eq!(error, TransportError::sent(TransportErrorKind::Timeout));
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit_and_not_beyond() {
    for (length, is_read) in [(MAX_BODY_BYTES, true), (MAX_BODY_BYTES + 1, false)] {
        for chunked in [false, true] {
            let server = Server::start(move |mut stream, _| async move {
                read_request(&mut stream).await;
                write(&mut stream, &body_of(length, chunked)).await;
            })
            .await;
            let exchange = server.client().exchange(put(), &OpenGate).await;
            if is_read {
                assert_eq!(exchange.ok().unwrap().body.len(), length);
            } else {
                assert_eq!(failure(exchange), TransportError::sent(TransportErrorKind::BodyTooLarge));
            }
        }
    }
}

fn body_of(length: usize, chunked: bool) -> String {
    let body = "x".repeat(length);
    if chunked {
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
    } else {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")
    }
}
