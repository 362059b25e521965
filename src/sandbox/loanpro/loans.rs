//! Loans: made, linked to customers, paid. Here so that a linked profile can prove itself by being charged.

use serde_json::{Number, Value, json};

use super::refusals::Refused;
use super::shapes::{deferred, entries, id, metadata};
use crate::sandbox::books::{Books, Moment, Payment, PaymentKind};

/// The role that makes a customer the one who pays.
const ROLES: [&str; 2] = ["loan.customerRole.primary", "loan.customerRole.secondary"];

/// Longest display id that is kept, in characters.
const MAX_DISPLAY_ID: usize = 100;

/// Makes a loan, and links customers to it if it names them.
///
/// # Errors
/// The body is not an object, or a customer is missing; then nothing is made.
pub fn create(books: &mut Books, body: &Value) -> Result<Value, Refused> {
    if !body.is_object() {
        return Err(Refused::BadPayload("a loan is an object"));
    }
    let customers = customers(books, body)?;
    let display_id: String = body["displayId"].as_str().unwrap_or_default().chars().take(MAX_DISPLAY_ID).collect();
    let loan = books.add_loan(&display_id);
    join(books, loan, &customers);
    show(books, loan)
}

/// Shows a loan.
///
/// # Errors
/// There is none of that id.
pub fn show(books: &Books, id: i64) -> Result<Value, Refused> {
    let loan = books.loans.get(&id).ok_or(Refused::NoSuchLoan(id))?;
    let uri = format!("/odata.svc/Loans(id={id})");
    Ok(json!({
        "__metadata": metadata(&uri, "Loan"), "id": id, "displayId": loan.display_id, "active": 1,
        "created": loan.created_at.as_odata(), "Customers": deferred(&format!("{uri}/Customers")),
        "Payments": deferred(&format!("{uri}/Payments")),
    }))
}

/// Links customers to a loan, and logs or processes payments on it. All or nothing; lists in the wrong shape are nothing.
///
/// # Errors
/// The loan or a customer is missing, or a payment is refused.
pub fn update(books: &mut Books, id: i64, body: &Value) -> Result<Value, Refused> {
    let loan = books.loans.get(&id).ok_or(Refused::NoSuchLoan(id))?;
    let joining = customers(books, body)?;
    let payers: Vec<i64> = loan.customers.iter().chain(&joining).copied().collect();
    let payments = entries(body, "Payments").unwrap_or_default().iter();
    let payments = payments.map(|entry| payment(books, &payers, entry)).collect::<Result<Vec<_>, _>>()?;
    join(books, id, &joining);
    for (amount, profile) in payments {
        record(books, id, amount, profile);
    }
    show(books, id)
}

fn join(books: &mut Books, loan: i64, customers: &[i64]) {
    if let Some(loan) = books.loans.get_mut(&loan) {
        loan.customers.extend(customers);
    }
    books.changes += 1;
}

fn customers(books: &Books, body: &Value) -> Result<Vec<i64>, Refused> {
    let entries = entries(body, "Customers").unwrap_or_default();
    entries.iter().map(|entry| customer(books, entry)).collect()
}

fn customer(books: &Books, entry: &Value) -> Result<i64, Refused> {
    let id = entry.get("__id").and_then(id).ok_or(Refused::BadPayload("__id must be a customer's id"))?;
    if !books.customers.contains_key(&id) {
        return Err(Refused::NoSuchCustomer(id));
    }
    let role = entry["__setLoanRole"].as_str().unwrap_or_default();
    ROLES.contains(&role).then_some(id).ok_or(Refused::BadPayload("__setLoanRole must be a customer role"))
}

/// A payment's amount, and the profile to charge: `None` for one that is only logged.
fn payment(books: &Books, payers: &[i64], entry: &Value) -> Result<(Number, Option<i64>), Refused> {
    let amount = amount(&entry["amount"]).ok_or(Refused::BadPayload("amount must be above 0"))?;
    let profile = entry.get("paymentAccountId").filter(|id| !id.is_null());
    if entry["__logOnly"] == true {
        return match profile {
            None => Ok((amount, None)),
            Some(_) => Err(Refused::BadPayload("a payment that is only logged has no paymentAccountId")),
        };
    }
    let profile = profile.and_then(id).ok_or(Refused::BadPayload("paymentAccountId is required to process"))?;
    let found = books.loanpro_profile(profile).ok_or(Refused::Rule("there is no such payment account"))?;
    if !found.active {
        return Err(Refused::Rule("the payment account is not active"));
    }
    let linked = payers.iter().any(|payer| payer.to_string() == found.customer);
    linked.then_some((amount, Some(profile))).ok_or(Refused::Rule("the payment account's customer is not on the loan"))
}

fn amount(value: &Value) -> Option<Number> {
    let number: Number = match value {
        Value::Number(number) => number.clone(),
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    number.as_f64().is_some_and(|amount| amount > 0.0).then_some(number)
}

fn record(books: &mut Books, loan: i64, amount: Number, profile: Option<i64>) {
    let kind = if profile.is_some() { PaymentKind::Process } else { PaymentKind::Log };
    books.payments.push(Payment {
        id: (books.payments.len() + 1).to_string(),
        loan: loan.to_string(),
        amount,
        kind,
        payment_account_id: profile.map(|id| id.to_string()),
        at: Moment::now(),
    });
}
