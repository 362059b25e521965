//! What a link would change, checked entry by entry in their order, before anything is written. The order matters for
//! primary: the present one must be demoted first.

use std::collections::HashSet;

use serde_json::Value;

use super::refusals::Refused;
use super::shapes::{flag, id};
use crate::contract::AccountKind;
use crate::sandbox::books::{Books, LoanProCustomer};
use crate::sandbox::tokens::Fingerprint;

/// Longest title, in characters.
const MAX_TITLE: usize = 100;

/// Flags of an entry; `None` where it does not say.
#[derive(Debug, Clone, Copy)]
pub struct Flags {
    /// Make it the customer's primary.
    pub primary: Option<bool>,
    /// Make it a secondary.
    pub secondary: Option<bool>,
    /// May be charged.
    pub active: Option<bool>,
}

/// A profile to append.
#[derive(Debug)]
pub struct NewProfile {
    /// Its title.
    pub title: String,
    /// Checking, savings or card.
    pub kind: AccountKind,
    /// Its token.
    pub token: Fingerprint,
    /// Its flags.
    pub flags: Flags,
}

/// One entry's change.
#[derive(Debug)]
pub enum Change {
    /// Appends.
    Add(NewProfile),
    /// Changes a profile of the customer.
    Update {
        /// Which.
        id: i64,
        /// To what.
        flags: Flags,
        /// New title, if any.
        title: Option<String>,
    },
}

/// The state as it would be after the entries checked so far.
pub struct Plan<'a> {
    books: &'a Books,
    id: i64,
    customer: &'a LoanProCustomer,
    primary: Option<i64>,
    new_titles: HashSet<String>,
}

/// Stands in [`Plan::primary`] for a profile that has no id yet.
const NEW: i64 = -1;

impl<'a> Plan<'a> {
    /// A plan for a customer.
    #[must_use]
    pub fn new(books: &'a Books, id: i64, customer: &'a LoanProCustomer) -> Self {
        Self { books, id, customer, primary: customer.primary, new_titles: HashSet::new() }
    }

    /// Checks all entries.
    ///
    /// # Errors
    /// The first refusal.
    pub fn make(mut self, entries: &[Value]) -> Result<Vec<Change>, Refused> {
        entries.iter().map(|entry| self.check(entry)).collect()
    }

    fn check(&mut self, entry: &Value) -> Result<Change, Refused> {
        let flags = self::flags(entry)?;
        if entry.get("__update").and_then(Value::as_bool) == Some(true) {
            let id = self.own_profile(entry)?;
            let title = self.changed_title(entry, id)?;
            self.check_primary(id, flags.primary)?;
            return Ok(Change::Update { id, flags, title });
        }
        let (kind, token) = self.tokenised(entry)?;
        let title = self.title(entry)?.ok_or(Refused::BadPayload("title is required"))?;
        self.check_primary(NEW, flags.primary)?;
        Ok(Change::Add(NewProfile { title, kind, token, flags }))
    }

    fn own_profile(&self, entry: &Value) -> Result<i64, Refused> {
        let id = entry.get("__id").and_then(id).ok_or(Refused::BadPayload("__update needs an __id"))?;
        let profile = self.books.loanpro_profile(id).filter(|profile| profile.customer == self.id.to_string());
        profile.map(|_| id).ok_or(Refused::BadPayload("this customer has no payment account of that __id"))
    }

    fn changed_title(&mut self, entry: &Value, id: i64) -> Result<Option<String>, Refused> {
        let present = self.books.loanpro_profile(id).and_then(|profile| profile.title.as_deref());
        if entry["title"].as_str() == present { Ok(None) } else { self.title(entry) }
    }

    fn title(&mut self, entry: &Value) -> Result<Option<String>, Refused> {
        let Some(title) = entry["title"].as_str() else {
            return Ok(None);
        };
        if !(1..=MAX_TITLE).contains(&title.chars().count()) {
            return Err(Refused::BadPayload("title must have 1 to 100 characters"));
        }
        if self.customer.titles.contains(title) || !self.new_titles.insert(title.to_owned()) {
            return Err(Refused::DuplicateTitle);
        }
        Ok(Some(title.to_owned()))
    }

    fn check_primary(&mut self, id: i64, primary: Option<bool>) -> Result<(), Refused> {
        match primary {
            Some(true) if self.primary.is_some_and(|present| present != id || id == NEW) => {
                return Err(Refused::Rule("the customer has a primary payment account already"));
            }
            Some(true) => self.primary = Some(id),
            Some(false) if self.primary == Some(id) => self.primary = None,
            _ => {}
        }
        Ok(())
    }

    fn tokenised(&self, entry: &Value) -> Result<(AccountKind, Fingerprint), Refused> {
        let (kind, child) = kind(entry)?;
        let token = entry[child]["token"].as_str().filter(|token| !token.is_empty());
        let token = Fingerprint::of(token.ok_or(Refused::BadPayload("the account's token is required"))?);
        let known = self.books.permanent.get(&token).ok_or(Refused::BadToken("the token is not known"))?;
        let fits = (known.kind == AccountKind::Card) == (kind == AccountKind::Card);
        fits.then_some((kind, token)).ok_or(Refused::BadToken("the token is of another kind of account"))
    }
}

/// The kind of account that an entry claims, and the child that holds its token.
fn kind(entry: &Value) -> Result<(AccountKind, &'static str), Refused> {
    match entry["type"].as_str() {
        Some("paymentAccount.type.credit") => Ok((AccountKind::Card, "CreditCard")),
        Some("paymentAccount.type.checking") => match entry["CheckingAccount"]["accountType"].as_str() {
            Some("bankacct.type.checking") => Ok((AccountKind::Checking, "CheckingAccount")),
            Some("bankacct.type.savings") => Ok((AccountKind::Savings, "CheckingAccount")),
            _ => Err(Refused::BadPayload("accountType must be bankacct.type.checking or bankacct.type.savings")),
        },
        _ => Err(Refused::BadPayload("type must be paymentAccount.type.checking or paymentAccount.type.credit")),
    }
}

fn flags(entry: &Value) -> Result<Flags, Refused> {
    let flags = Flags {
        primary: flag(entry, "isPrimary")?,
        secondary: flag(entry, "isSecondary")?,
        active: flag(entry, "active")?,
    };
    if flags.primary == Some(true) && flags.secondary == Some(true) {
        return Err(Refused::BadPayload("a payment account is primary or secondary, not both"));
    }
    Ok(flags)
}
