//! From valid JSON to the types that cannot be wrong.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::violations::text_at;
use super::{Account, AccountKind, ProfileCreated, Token};
use crate::domain::{Customer, Secret, System};

/// As fine as times are kept.
const NANOSECOND_DIGITS: usize = 9;

/// The event's data. `None` if it is not valid by its schema.
pub(super) fn read(event: &Value) -> Option<ProfileCreated> {
    let data = event.get("data")?;
    let token = token(event)?;
    Some(ProfileCreated {
        customer: customer(event)?,
        customer_token: text(data, "customerToken").map(Secret::from),
        external_user_id: text(data, "externalUserId"),
        account: optional::<Account>(data, "account")?,
        provider: optional(data, "provider")?,
        title: text(data, "title"),
        primary: flag(data, "primary"),
        secondary: flag(data, "secondary"),
        expires_at: expires_at(data, &token)?,
        token,
    })
}

/// The customer, if valid; whatever the rest of the event is. A GUID is written in lower case: two spellings are one
/// customer, whose links must keep their order. A LoanPro id has one spelling only.
#[must_use]
pub fn customer(event: &Value) -> Option<Customer> {
    let system = System::deserialize(event.pointer("/data/customer/system")?).ok()?;
    let id = text_at(event, "/data/customer/id")?;
    let valid = match system {
        System::Loanpro => id.starts_with(|first: char| ('1'..='9').contains(&first)) && id.parse::<i64>().is_ok(),
        System::Aloha => id.len() == 36 && uuid::Uuid::try_parse(id).is_ok(),
    };
    valid.then(|| Customer { system, id: id.to_ascii_lowercase() })
}

/// Why the link target can never take this account, if the event itself shows it.
pub(super) fn unsupported(profile: &ProfileCreated) -> Option<&'static str> {
    let bank = profile.account.as_ref().is_some_and(|account| account.kind != AccountKind::Card);
    (profile.customer.system == System::Aloha && bank).then_some("aloha takes cards only, not bank accounts")
}

fn token(event: &Value) -> Option<Token> {
    let secret = Secret::from(text_at(event, "/data/token/value")?.to_owned());
    match text_at(event, "/data/token/kind")? {
        "temporary" => Some(Token::Temporary(secret)),
        "permanent" => Some(Token::Permanent(secret)),
        _ => None,
    }
}

/// Milliseconds since 1970. A permanent token does not expire, whatever the event says.
fn expires_at(data: &Value, token: &Token) -> Option<Option<i64>> {
    match (token, text(data, "expiresAt")) {
        (Token::Permanent(_), _) | (_, None) => Some(None),
        (Token::Temporary(_), Some(at)) => Some(Some(moment(&at)?)),
    }
}

/// Milliseconds since 1970 of an RFC 3339 time. Finer than a nanosecond is cut off; the calendar's last days, which stand for
/// "never", end where the clock's library does.
pub(super) fn moment(text: &str) -> Option<i64> {
    let coarse = match text.split_once('.') {
        Some((seconds, rest)) => {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (fraction, zone) = rest.split_at(digits);
            format!("{seconds}.{}{zone}", &fraction[..fraction.len().min(NANOSECOND_DIGITS)])
        }
        None => text.to_owned(),
    };
    match coarse.parse::<jiff::Timestamp>() {
        Ok(moment) => Some(moment.as_millisecond()),
        Err(_) if text.starts_with("9999-12-3") => Some(jiff::Timestamp::MAX.as_millisecond()),
        Err(_) => None,
    }
}

fn text(data: &Value, name: &str) -> Option<String> {
    data.get(name)?.as_str().map(str::to_owned)
}

fn flag(data: &Value, name: &str) -> bool {
    data.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// Outer `None`: there, but not as it should be. Null is as good as left out.
fn optional<T: DeserializeOwned>(data: &Value, name: &str) -> Option<Option<T>> {
    data.get(name).map_or(Some(None), |value| Option::<T>::deserialize(value).ok())
}
