//! The sandbox's connections. They are served one by one with hyper instead of `axum::serve`, because a fault must be able
//! to end a connection without any answer: a handler marks its response with [`Severed`] and hyper then just closes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::stage::Stage;
use super::{aloha, answer, control, loanpro, payiq, secure_payments};

/// Connections at once; more wait in the kernel's queue. Far above what one worker's upstream limits open.
const MAX_CONNECTIONS: usize = 2048;
/// Largest request. The largest lawful one is a link with an 8 KB token; a list of a thousand fault rules fits too.
const MAX_BODY_BYTES: usize = 512 * 1024;
/// How long calls on the wire may go on after a stop. Longer only helps faults that delay.
const DRAIN: Duration = Duration::from_secs(1);
/// Pause after a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Marks a response that must not be sent: the connection is closed instead.
#[derive(Debug, Clone, Copy, Error)]
#[error("the connection is severed by a fault")]
pub struct Severed;

/// Serves until told to stop, then drains.
pub async fn serve(listener: TcpListener, stage: Stage, stopping: CancellationToken) {
    let routes = routes(stage);
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Some(stream) = accept(&listener, &stopping).await {
        while connections.try_join_next().is_some() {}
        // The semaphore is never closed, so this fails only at a stop, when the connection is refused anyway.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            break;
        };
        let (routes, stopping) = (routes.clone(), stopping.clone());
        connections.spawn(async move {
            converse(stream, routes, stopping).await;
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn routes(stage: Stage) -> Router {
    Router::new()
        .nest("/payiq", payiq::routes())
        .nest("/loanpro", loanpro::routes())
        .nest("/aloha", aloha::routes())
        .nest("/secure-payments", secure_payments::routes())
        .nest("/sandbox", control::routes())
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(stage)
}

async fn nothing_here() -> Response {
    answer::html(StatusCode::NOT_FOUND, "<html><body>There is nothing at this address.</body></html>")
}

async fn accept(listener: &TcpListener, stopping: &CancellationToken) -> Option<TcpStream> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => return Some(stream),
            Err(error) => {
                tracing::warn!(%error, "the sandbox could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end. Errors are the client leaving or a fault severing: neither is news.
async fn converse(stream: TcpStream, routes: Router, stopping: CancellationToken) {
    // Only a latency optimisation; a socket that cannot take it still works.
    drop(stream.set_nodelay(true));
    let vendor = TowerToHyperService::new(routes);
    let service = service_fn(move |request: Request<Incoming>| answer_or_sever(vendor.clone(), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return drop(ended),
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    drop(timeout(DRAIN, connection).await);
}

async fn answer_or_sever(vendor: TowerToHyperService<Router>, request: Request<Incoming>) -> Result<Response, Severed> {
    let response = vendor.call(request).await.unwrap_or_else(|never| match never {});
    match response.extensions().get::<Severed>() {
        Some(severed) => Err(*severed),
        None => Ok(response),
    }
}
