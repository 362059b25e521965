//! The server's connections, each within its limits: a client that is slow, greedy or malicious costs a place until
//! somebody else needs it, never a worker's event, and never a prober's answer.

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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::answer;
use super::places::{Idle, Places};

/// Connections at once; one more takes the place of who is idle for longest. A browser opens six, a scraper and probes one
/// each.
const MAX_CONNECTIONS: usize = 64;
/// A request's headers must be there within this, from the connection's or the last answer's time on.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a request's headers. A browser's are 1 to 2 KB.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// A request must be read and answered within this: the ledger's statements have 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A connection lives no longer: one that takes its answers byte by byte gives them up. A scraper opens the next one.
const CONNECTION_LIFE: Duration = Duration::from_secs(30);
/// How long answers may go on after a stop, or at the end of a connection's life.
const DRAIN: Duration = Duration::from_secs(1);
/// Pause after a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until told to stop, then drains.
pub(super) async fn serve(listener: TcpListener, routes: Router, stopping: CancellationToken) {
    let mut places = Places::new(MAX_CONNECTIONS);
    loop {
        let stream = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            stream = next(&listener, &mut places) => stream,
        };
        // Only a latency optimisation; a socket that cannot take it still works.
        drop(stream.set_nodelay(true));
        places.give(|idle| converse(stream, routes.clone(), stopping.clone(), idle));
    }
    drop(listener);
    places.close().await;
}

/// The next connection, and a place for it.
async fn next(listener: &TcpListener, places: &mut Places) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                places.free().await;
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "the admin server could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end. An error is a client that leaves, or breaks a limit: neither is news.
async fn converse<S>(stream: S, routes: Router, stopping: CancellationToken, idle: Idle)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |request: Request<Incoming>| {
        let (routes, idle) = (routes.clone(), idle.clone());
        async move { idle.busy(in_time(routes, request)).await }
    });
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

#[cfg(test)]
mod tests;
