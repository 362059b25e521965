//! The server's connections, each within its limits: a client that is slow, greedy or malicious costs a place for some
//! seconds, never a worker's event.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::answer;

/// Connections at once; more wait in the kernel's queue. A browser opens six, a scraper and probes one each.
const MAX_CONNECTIONS: usize = 64;
/// A request's headers must be there within this, from the connection's or the last answer's time on.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a request's headers. A browser's are 1 to 2 KB.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// A request must be read and answered within this: the ledger's statements have 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A connection lives no longer: one that takes its answers byte by byte gives its place back.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);
/// How long answers may go on after a stop, or at the end of a connection's life.
const DRAIN: Duration = Duration::from_secs(1);
/// Pause after a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until told to stop, then drains.
pub(super) async fn serve(listener: TcpListener, routes: Router, stopping: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        // The semaphore is never closed.
        let Some((stream, place)) = accepted else { break };
        let (routes, stopping) = (routes.clone(), stopping.clone());
        connections.spawn(async move {
            converse(stream, routes, stopping).await;
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, place)),
            Err(error) => {
                tracing::warn!(%error, "the admin server could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end. An error is a client that leaves, or breaks a limit: neither is news.
async fn converse(stream: TcpStream, routes: Router, stopping: CancellationToken) {
    // Only a latency optimisation; a socket that cannot take it still works.
    drop(stream.set_nodelay(true));
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |request: Request<Incoming>| in_time(routes.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return drop(ended),
        () = stopping.cancelled() => {}
        () = tokio::time::sleep(CONNECTION_LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(timeout(DRAIN, connection).await);
}

async fn in_time(
    routes: TowerToHyperService<Router>,
    request: Request<Incoming>,
) -> Result<Response, std::convert::Infallible> {
    match timeout(ANSWER_WITHIN, routes.call(request)).await {
        Ok(answered) => answered,
        Err(_) => Ok(answer::refused(StatusCode::REQUEST_TIMEOUT, "the request took too long")),
    }
}
