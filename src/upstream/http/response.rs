//! From the first byte of the request to the last byte of the answer.

use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::connect::RequestBody;
use super::{Answer, Exchange, TransportError, TransportErrorKind, body};

/// What became of a request that was given to a connection.
pub enum Sent {
    /// An answer, or none although bytes may have left.
    Ended(Exchange),
    /// The connection gave it back before any byte was written.
    NotAtAll(Request<RequestBody>),
}

/// Sends and reads the whole answer, both before `deadline`.
pub async fn send(sender: &mut SendRequest<RequestBody>, request: Request<RequestBody>, deadline: Instant) -> Sent {
    let response = match timeout_at(deadline, sender.try_send_request(request)).await {
        Err(_) => return ended(TransportErrorKind::Timeout),
        Ok(Err(mut error)) => {
            return match error.take_message() {
                Some(request) => Sent::NotAtAll(request),
                None => ended(body::kind_of(error.error())),
            };
        }
        Ok(Ok(response)) => response,
    };
    let (head, incoming) = response.into_parts();
    match timeout_at(deadline, body::read(incoming)).await {
        Err(_) => ended(TransportErrorKind::Timeout),
        Ok(Err(kind)) => ended(kind),
        Ok(Ok(body)) => {
            Sent::Ended(Ok(Answer { status: head.status, headers: head.headers, body, received_at: Timestamp::now() }))
        }
    }
}

fn ended(kind: TransportErrorKind) -> Sent {
    Sent::Ended(Err(TransportError::sent(kind)))
}
