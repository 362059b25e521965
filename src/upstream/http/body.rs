//! Reading a response body, up to a limit.

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use zeroize::Zeroizing;

use super::{MAX_BODY_BYTES, TransportErrorKind};

/// Reads the whole body. A body that ends early, or is too long, is no answer at all.
pub async fn read(mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, TransportErrorKind> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > MAX_BODY_BYTES {
        return Err(TransportErrorKind::BodyTooLarge);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| kind_of(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > MAX_BODY_BYTES {
            return Err(TransportErrorKind::BodyTooLarge);
        }
        append(&mut bytes, data);
    }
    Ok(bytes)
}

/// Grows by copying into a new vector, so that the outgrown one is wiped: a plain reallocation would leave a copy of the
/// token behind.
fn append(bytes: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    let needed = bytes.len() + data.len();
    if needed > bytes.capacity() {
        let mut grown = Zeroizing::new(Vec::with_capacity(needed.max(bytes.capacity() * 2)));
        grown.extend_from_slice(bytes);
        *bytes = grown;
    }
    bytes.extend_from_slice(data);
}

/// What hyper's error after the request was handed over means.
pub fn kind_of(error: &hyper::Error) -> TransportErrorKind {
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        TransportErrorKind::Malformed
    } else {
        TransportErrorKind::Reset
    }
}
