//! `/healthz`: whether this process goes on. It asks nobody outside: a database that is away is no reason to restart a
//! worker, which would only lose what it knows.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Loop, State, answer};

pub(super) async fn alive(Shared(state): Shared<Arc<State>>) -> Response {
    let (alive, body) = judged(&state.loops);
    let status = if alive { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::json(status, &body)
}

fn judged(loops: &[Loop]) -> (bool, Value) {
    let mut told = Map::new();
    let mut alive = true;
    for one in loops {
        let silence = one.pulse.silence();
        let moves = silence < one.limit;
        alive &= moves;
        told.insert(one.name.to_owned(), json!({ "alive": moves, "silentSeconds": silence.as_secs() }));
    }
    (alive, json!({ "alive": alive, "loops": told }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pulse::Pulse;

    #[test]
    fn a_loop_that_is_silent_for_too_long_is_told_by_its_name() {
        let turning = Loop { name: "turning", pulse: Pulse::new(), limit: Duration::from_secs(30) };
        let stuck = Loop { name: "stuck", pulse: Pulse::new(), limit: Duration::ZERO };
        let (alive, body) = judged(std::slice::from_ref(&turning));
        assert_eq!((alive, &body["loops"]["turning"]["alive"]), (true, &json!(true)));
        let (alive, body) = judged(&[turning, stuck]);
        assert_eq!((alive, &body["loops"]["stuck"]["alive"]), (false, &json!(false)));
    }
}
