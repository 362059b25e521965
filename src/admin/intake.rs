//! `/api/v1/intake/pause` and `/api/v1/intake/resume`: what an operator may tell the intake of all workers.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Number, json};

use super::routes::MAX_BODY_BYTES;
use super::{State, answer};
use crate::conditions::Part;
use crate::config::{pause_after_run, pause_share};
use crate::domain::flow_control::FloodLimits;
use crate::ledger::{Act, LedgerError, PauseKind};

/// Characters of a reason.
const MAX_WHY: usize = 500;
/// Characters of a name.
const MAX_BY: usize = 100;
/// Who acts, where nobody says.
const NOBODY: &str = "admin-api";

/// What may be said. All of it goes into the audit table.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    why: Option<String>,
    /// Who acts: the token is the same for everybody.
    by: Option<String>,
    /// The flood guard's `pause_after_run` from now on; at a resumption.
    limit: Option<Number>,
    /// Its `pause_share`.
    share: Option<Number>,
}

/// What is said of the intake, and by whom.
type Word = (Act, FloodLimits);

type Body = Result<Bytes, BytesRejection>;

pub(super) async fn pause(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Body) -> Response {
    let (act, limits) = match word(&headers, body) {
        Ok(word) => word,
        Err((status, why)) => return answer::refused(status, &why),
    };
    if limits != FloodLimits::default() {
        return answer::refused(StatusCode::BAD_REQUEST, "`limit` and `share` are for `intake/resume`");
    }
    let paused = state.ledger.pause(PauseKind::Operator, &act).await;
    answered(&state, paused).await
}

/// Takes every pause away, the flood guard's too: it is a person who says that the flood is over, or how far it may go.
pub(super) async fn resume(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Body) -> Response {
    let (act, limits) = match word(&headers, body) {
        Ok(word) => word,
        Err((status, why)) => return answer::refused(status, &why),
    };
    let resumed = state.ledger.resume(None, limits, &act).await.map(drop);
    answered(&state, resumed).await
}

async fn answered(state: &State, done: Result<(), LedgerError>) -> Response {
    if let Err(error) = done {
        tracing::warn!(error = %error, "an operator's word on the intake did not reach the ledger");
        return answer::refused(StatusCode::SERVICE_UNAVAILABLE, "the ledger does not take it now; try again");
    }
    state.pauses.refresh().await;
    answer::json(StatusCode::OK, &json!({ "intake": state.conditions.readiness().check(Part::Intake) }))
}

/// What is said, and by whom; nothing at all is lawful, too.
fn word(headers: &HeaderMap, body: Body) -> Result<Word, (StatusCode, String)> {
    let body = body.map_err(|rejection| {
        (rejection.status(), format!("the body has more than {MAX_BODY_BYTES} bytes, or did not arrive"))
    })?;
    word_of(headers, &body).map_err(|why| (StatusCode::BAD_REQUEST, why))
}

fn word_of(headers: &HeaderMap, body: &[u8]) -> Result<Word, String> {
    let said = match body.is_empty() {
        true => Said::default(),
        false => said(headers, body)?,
    };
    let why = said.why.filter(|why| !why.trim().is_empty());
    for (name, text, most) in [("why", &why, MAX_WHY), ("by", &said.by, MAX_BY)] {
        let text = text.as_deref().unwrap_or_default();
        if text.chars().count() > most || text.chars().any(char::is_control) {
            return Err(format!("`{name}` has more than {most} characters, or a control character"));
        }
    }
    let limits = FloodLimits {
        run: limit("limit", said.limit.as_ref(), pause_after_run)?,
        share: limit("share", said.share.as_ref(), pause_share)?,
    };
    Ok((Act { actor: said.by.filter(|by| !by.is_empty()).unwrap_or_else(|| NOBODY.to_owned()), why }, limits))
}

fn limit<T>(name: &str, said: Option<&Number>, check: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    said.map(|number| check(&number.to_string()).map_err(|must| format!("`{name}` {must}"))).transpose()
}

fn said(headers: &HeaderMap, body: &[u8]) -> Result<Said, String> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err("the body's content-type must be application/json".to_owned());
    }
    // The parser's words quote what it read only by its kind and place.
    serde_json::from_slice(body).map_err(|error| {
        format!("the body must be {{\"why\": text, \"by\": text, \"limit\": number, \"share\": number}}: {error}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> Result<Word, String> {
        let json = [(header::CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap())];
        word_of(&HeaderMap::from_iter(json), body.as_bytes())
    }

    fn of(body: &str) -> Result<Act, String> {
        said(body).map(|(act, _)| act)
    }

    #[test]
    fn what_is_said_goes_into_the_act() {
        let told = of(r#"{"why":"vendor's maintenance","by":"ada"}"#).unwrap();
        assert_eq!((told.actor.as_str(), told.why.as_deref()), ("ada", Some("vendor's maintenance")));
        let silent = word_of(&HeaderMap::new(), b"").unwrap().0;
        assert_eq!((silent.actor.as_str(), silent.why), (NOBODY, None));
        assert_eq!(of(r#"{"why":" ","by":""}"#).unwrap().actor, NOBODY);
    }

    #[test]
    fn what_a_ledger_or_a_terminal_would_choke_on_is_refused() {
        let long = format!(r#"{{"why":"{}"}}"#, "x".repeat(MAX_WHY + 1));
        for body in
            ["[]", "{", r#"{"wy":"x"}"#, r#"{"why":1}"#, r#"{"why":"a\u0000b"}"#, r#"{"by":"\u001b[2J"}"#, &long]
        {
            assert!(of(body).is_err(), "{body}");
        }
        assert!(word_of(&HeaderMap::new(), b"{}").is_err(), "a form's content type");
    }

    #[test]
    fn limits_are_taken_within_their_keys_range_only() {
        let limits = |body| said(body).map(|(_, limits)| limits);
        assert_eq!(limits("{}"), Ok(FloodLimits::default()));
        assert_eq!(limits(r#"{"limit":5000}"#), Ok(FloodLimits { run: Some(5000), share: None }));
        assert_eq!(limits(r#"{"share":0.9}"#), Ok(FloodLimits { run: None, share: Some(0.9) }));
        let refused = limits(r#"{"limit":0}"#).unwrap_err();
        assert_eq!(refused, "`limit` must be a whole number from 1 to 1000000");
        for body in [r#"{"limit":1.5}"#, r#"{"limit":"5000"}"#, r#"{"limit":-1}"#, r#"{"share":2}"#, r#"{"share":0}"#] {
            assert!(limits(body).is_err(), "{body}");
        }
    }
}
