//! Who may call. Any credentials will do, but they must be there; `--strict` names the right ones.

use std::str::FromStr;

use axum::http::{HeaderMap, header};
use data_encoding::BASE64;
use thiserror::Error;

/// The right credentials; one that is not named (`None`) may be anything. They guard nothing but made-up data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the worker's configuration key of that name")]
pub struct StrictCredentials {
    pub payiq_api_key: Option<String>,
    pub loanpro_token: Option<String>,
    pub loanpro_instance_id: Option<String>,
    pub aloha_user: Option<String>,
    pub aloha_password: Option<String>,
    pub aloha_company_code: Option<String>,
}

/// The names that [`StrictCredentials`] can be written with.
const NAMES: &str = "payiq_api_key, loanpro_token, loanpro_instance_id, aloha_user, aloha_password, aloha_company_code";

/// A text that is not `name=value[,name=value]`.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// No `=` in a part.
    #[error("expected name=value[,name=value], with names out of {NAMES}")]
    NoValue,
    /// A name that means nothing.
    #[error("unknown credential {0}, expected one of {NAMES}")]
    UnknownName(String),
}

impl FromStr for StrictCredentials {
    type Err = CredentialsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut right = Self::default();
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or(CredentialsError::NoValue)?;
            *right.slot(name.trim()).ok_or_else(|| CredentialsError::UnknownName(name.to_owned()))? =
                Some(value.trim().to_owned());
        }
        Ok(right)
    }
}

/// What is wrong with LoanPro's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoanProDoor {
    /// Bearer token or tenant missing, or the token is not the right one.
    Unauthorised,
    /// A tenant that exists elsewhere: nothing is found in it.
    WrongTenant,
}

impl StrictCredentials {
    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "payiq_api_key" => &mut self.payiq_api_key,
            "loanpro_token" => &mut self.loanpro_token,
            "loanpro_instance_id" => &mut self.loanpro_instance_id,
            "aloha_user" => &mut self.aloha_user,
            "aloha_password" => &mut self.aloha_password,
            "aloha_company_code" => &mut self.aloha_company_code,
            _ => return None,
        })
    }

    /// Whether PayIQ knows this API key.
    #[must_use]
    pub fn knows_payiq(&self, api_key: &str) -> bool {
        fits(self.payiq_api_key.as_deref(), Some(api_key))
    }

    /// Checks LoanPro's two headers.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check_loanpro(&self, headers: &HeaderMap) -> Result<(), LoanProDoor> {
        if !fits(self.loanpro_token.as_deref(), bearer(headers)) {
            return Err(LoanProDoor::Unauthorised);
        }
        match text(headers, "autopal-instance-id") {
            None => Err(LoanProDoor::Unauthorised),
            tenant if fits(self.loanpro_instance_id.as_deref(), tenant) => Ok(()),
            Some(_) => Err(LoanProDoor::WrongTenant),
        }
    }

    /// Whether Aloha's Basic credentials and company code are right.
    #[must_use]
    pub fn knows_aloha(&self, headers: &HeaderMap) -> bool {
        let Some((user, password)) = basic(headers) else {
            return false;
        };
        fits(self.aloha_user.as_deref(), Some(&user))
            && fits(self.aloha_password.as_deref(), Some(&password))
            && fits(self.aloha_company_code.as_deref(), text(headers, "x-api-companycode"))
    }
}

/// Present, not empty, and the right one where one is named.
fn fits(right: Option<&str>, given: Option<&str>) -> bool {
    given.is_some_and(|given| !given.is_empty() && right.is_none_or(|right| right == given))
}

/// The token of `Authorization: Bearer ...`.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    text(headers, header::AUTHORIZATION.as_str())?.strip_prefix("Bearer ")
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = text(headers, header::AUTHORIZATION.as_str())?.strip_prefix("Basic ")?;
    let plain = String::from_utf8(BASE64.decode(encoded.as_bytes()).ok()?).ok()?;
    let (user, password) = plain.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
}
