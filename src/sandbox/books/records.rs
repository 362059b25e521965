//! The entries of the books. Tokens are held as fingerprints, except where a vendor echoes one (Aloha).

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Number;
use uuid::Uuid;

use super::Moment;
use crate::contract::AccountKind;
use crate::domain::System;
use crate::sandbox::tokens::Fingerprint;

/// A customer of LoanPro.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoanProCustomer {
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// When it was made.
    pub created_at: Moment,
    /// Ids of the linked profiles, ascending.
    pub profiles: Vec<i64>,
    /// Titles of those profiles: unique per customer (the vendor's scope is unknown).
    pub titles: HashSet<String>,
    /// The one primary profile, if there is one.
    pub primary: Option<i64>,
}

impl LoanProCustomer {
    /// A customer without profiles.
    #[must_use]
    pub fn new(first_name: &str, last_name: &str, created_at: Moment) -> Self {
        let (first_name, last_name) = (first_name.to_owned(), last_name.to_owned());
        Self { first_name, last_name, created_at, profiles: Vec::new(), titles: HashSet::new(), primary: None }
    }
}

/// A loan of LoanPro.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Loan {
    /// What people call it.
    pub display_id: String,
    /// When it was made.
    pub created_at: Moment,
    /// Customers linked to it.
    pub customers: HashSet<i64>,
}

impl Loan {
    /// A loan of nobody.
    #[must_use]
    pub fn new(display_id: &str, created_at: Moment) -> Self {
        Self { display_id: display_id.to_owned(), created_at, customers: HashSet::new() }
    }
}

/// A payment method of an Aloha customer, as Aloha shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AlohaMethod {
    /// The id that the link answered.
    pub account_id: Uuid,
    /// 0 American Express, 3 Discover, 5 JCB, 6 MasterCard, 7 Visa.
    pub method_type: u64,
    /// The card token; Aloha echoes it.
    pub account_number: String,
    /// `MM/YY`.
    pub expiration_date: String,
    /// `123456******1234`.
    pub masked_account_number: String,
    /// 2 ConnectedPayments, 4 CreditCall, 6 FreedomPay.
    pub provider_type: u64,
}

/// A linked payment profile, of either system.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// LoanPro: a number. Aloha: the GUID that the link answered.
    pub id: String,
    /// Whose customer.
    pub customer: String,
    /// Which link target.
    pub system: System,
    /// Its title; Aloha has none.
    pub title: Option<String>,
    /// Checking, savings or card.
    pub kind: AccountKind,
    /// Fingerprint of the permanent token.
    pub token: Fingerprint,
    /// The customer's primary.
    pub primary: bool,
    /// A secondary.
    pub secondary: bool,
    /// Can be charged.
    pub active: bool,
    /// When it was linked.
    pub created_at: Moment,
    /// The caller's key at linking.
    pub idempotency_key: Option<String>,
}

/// A temporary token that became a permanent one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversion {
    /// Fingerprint of the temporary token.
    pub token: Fingerprint,
    /// Fingerprint of the permanent token.
    pub permanent_token: Fingerprint,
    /// How often it was converted: never more than 1, as these tokens are for one use.
    pub times: u32,
    /// How often it was tried again afterwards, and refused.
    pub refused: u32,
    /// PayIQ's ExternalUserID.
    pub customer: Option<String>,
    /// When.
    pub at: Moment,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

/// How a payment was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaymentKind {
    /// Only written down: money that moved elsewhere.
    Log,
    /// Pulled from a linked profile.
    Process,
}

/// A payment on a loan.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Its number, from 1.
    pub id: String,
    /// The loan's id.
    pub loan: String,
    /// As the caller wrote it, above 0.
    pub amount: Number,
    /// Logged or processed.
    pub kind: PaymentKind,
    /// The charged profile, if processed.
    pub payment_account_id: Option<String>,
    /// When.
    pub at: Moment,
}
