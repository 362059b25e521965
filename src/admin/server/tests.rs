use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::*;

/// More than all buffers between server and client hold.
const LARGE: usize = 32 * 1024 * 1024;
/// How long a place may be held for nothing.
const PATIENCE: Duration = Duration::from_secs(40);
/// A prober's patience is a second.
const PROBER: Duration = Duration::from_secs(1);

fn routes(held: Arc<Notify>) -> Router {
    let large = Bytes::from(vec![b'x'; LARGE]);
    Router::new()
        .route("/healthz", get(async || "alive"))
        .route("/large", get(async move || large.clone()))
        .route("/held", get(async move || held.notified().await))
}

/// A client that says this and then neither speaks nor reads.
async fn silent(address: SocketAddr, says: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(address).await.unwrap();
    client.write_all(says.as_bytes()).await.unwrap();
    client
}

async fn answer(address: SocketAddr, path: &str) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A reset is an answer that is missing.
    let _ = client.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn clients_that_hold_every_place_keep_no_prober_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stopping) = (listener.local_addr().unwrap(), CancellationToken::new());
    let held = Arc::new(Notify::new());
    let server = tokio::spawn(serve(listener, routes(Arc::clone(&held)), stopping.clone()));
    let spared = tokio::spawn(async move { answer(address, "/held").await });
    let mut holding = Vec::new();
    for says in ["", "GET /healthz HTTP/1.1\r\nhost:", "GET /large HTTP/1.1\r\nhost: a\r\n\r\n"] {
        for _ in 0..=MAX_CONNECTIONS {
            holding.push(silent(address, says).await);
        }
        let answered = timeout(PROBER, answer(address, "/healthz")).await;
        assert!(answered.is_ok_and(|answer| answer.ends_with("alive")), "held by {says:?}");
    }
    held.notify_one();
    assert!(spared.await.unwrap().starts_with("HTTP/1.1 200"), "who is being answered keeps the place");
    stopping.cancel();
    timeout(DRAIN * 5, server).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_answer_is_given_up() {
    let (mut client, server) = tokio::io::duplex(1024);
    client.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (began, mut places) = (Instant::now(), Places::new(1));
    places.give(|idle| converse(server, routes(Arc::default()), CancellationToken::new(), idle));
    places.close().await;
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_longest_idle_gives_up_the_place_and_who_is_being_answered_keeps_it() {
    let mut places = Places::new(3);
    let held: Vec<Arc<()>> = (0..3).map(|_| Arc::default()).collect();
    for (number, held) in held.iter().enumerate() {
        let held = Arc::clone(held);
        places.give(|idle| async move {
            if number == 0 {
                idle.busy(tokio::time::sleep(Duration::from_secs(60))).await;
            }
            std::future::pending::<()>().await;
            drop(held);
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let here = || held.iter().map(|held| Arc::strong_count(held) == 2).collect::<Vec<_>>();
    assert_eq!(here(), [true, true, true]);
    places.free().await;
    assert_eq!(
        here(),
        [true, false, true],
        "the first is being answered, the second is idle for longer than the third"
    );
}
