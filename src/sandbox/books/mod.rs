//! What was really done at the vendors: the customers, loans, tokens, profiles, conversions and payments. Every look-up is
//! by key, so that a call costs the same with a hundred thousand profiles as with one.

pub mod moment;
pub mod records;
pub mod shelf;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use moment::Moment;
pub use records::{AlohaMethod, Conversion, Loan, LoanProCustomer, Payment, PaymentKind, Profile};

use super::tokens::{Fingerprint, PermanentToken, TemporaryToken};
use crate::domain::System;

/// Entries of one kind. A profile takes about 500 bytes with all that belongs to it: half a gigabyte when full, and ten
/// times what a benchmark makes.
const MAX_ENTRIES: usize = 1_000_000;

/// The books. Serialised whole into the file that outlives a run.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Books {
    /// LoanPro's customers by id, from 1.
    pub customers: HashMap<i64, LoanProCustomer>,
    /// LoanPro's loans by id, from 1.
    pub loans: HashMap<i64, Loan>,
    /// Aloha's customers and their payment methods.
    pub aloha: HashMap<Uuid, Vec<AlohaMethod>>,
    /// Permanent tokens that Secure Payments or a conversion gave out.
    pub permanent: HashMap<Fingerprint, PermanentToken>,
    /// Temporary tokens of the hosted form.
    pub temporary: HashMap<Fingerprint, TemporaryToken>,
    /// Linked profiles of both systems in the order they came. LoanPro's id is the place plus one.
    pub profiles: Vec<Profile>,
    /// Conversions that succeeded.
    pub conversions: Vec<Conversion>,
    /// Payments on loans.
    pub payments: Vec<Payment>,
    /// Raised by every change; not kept.
    #[serde(skip)]
    pub changes: u64,
}

impl Books {
    /// Whether nothing more may be added.
    #[must_use]
    pub fn full(&self) -> bool {
        let people = self.customers.len().max(self.loans.len()).max(self.aloha.len());
        let tokens = self.permanent.len().max(self.temporary.len());
        let deeds = self.profiles.len().max(self.conversions.len()).max(self.payments.len());
        people.max(tokens).max(deeds) >= MAX_ENTRIES
    }

    /// Adds a LoanPro customer and gives its id.
    pub fn add_customer(&mut self, first_name: &str, last_name: &str) -> i64 {
        let id = next_id(self.customers.len());
        self.customers.insert(id, LoanProCustomer::new(first_name, last_name, Moment::now()));
        self.changes += 1;
        id
    }

    /// Adds a LoanPro loan and gives its id.
    pub fn add_loan(&mut self, display_id: &str) -> i64 {
        let id = next_id(self.loans.len());
        self.loans.insert(id, Loan::new(display_id, Moment::now()));
        self.changes += 1;
        id
    }

    /// Adds an Aloha customer and gives its id.
    pub fn add_aloha_customer(&mut self) -> Uuid {
        let id = Uuid::new_v4();
        self.aloha.insert(id, Vec::new());
        self.changes += 1;
        id
    }

    /// A LoanPro profile by the id that LoanPro gives it.
    #[must_use]
    pub fn loanpro_profile(&self, id: i64) -> Option<&Profile> {
        let profile = self.profiles.get(place(id)?)?;
        (profile.system == System::Loanpro).then_some(profile)
    }

    /// The same, to be changed.
    pub fn loanpro_profile_mut(&mut self, id: i64) -> Option<&mut Profile> {
        let profile = self.profiles.get_mut(place(id)?)?;
        (profile.system == System::Loanpro).then_some(profile)
    }

    /// The id of the next profile.
    #[must_use]
    pub fn next_profile_id(&self) -> i64 {
        next_id(self.profiles.len())
    }
}

/// Nothing is ever removed, so the count is the last id.
fn next_id(count: usize) -> i64 {
    i64::try_from(count).map_or(i64::MAX, |count| count.saturating_add(1))
}

fn place(id: i64) -> Option<usize> {
    usize::try_from(id.checked_sub(1)?).ok()
}
