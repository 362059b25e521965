//! `PUT Customers({id})` with `PaymentAccounts`: appends a profile for each entry without `__update`, changes one for each
//! entry with it. All or nothing.

use serde_json::Value;

use super::link_plan::{Change, NewProfile, Plan};
use super::refusals::Refused;
use super::{Request, customers, shapes};
use crate::domain::System;
use crate::sandbox::books::{Books, Moment, Profile};
use crate::sandbox::stage::Effect;

/// Answers the PUT with the customer, never with the new profile's id.
///
/// # Errors
/// The customer is missing, or an entry is refused; then nothing is written.
pub(super) fn update(books: &mut Books, id: i64, request: &Request, effect: Effect) -> Result<Value, Refused> {
    let customer = books.customers.get(&id).ok_or(Refused::NoSuchCustomer(id))?;
    if !request.body.is_object() {
        return Err(Refused::BadPayload("a customer is an object"));
    }
    if let Some(entries) = shapes::entries(&request.body, "PaymentAccounts") {
        let changes = Plan::new(books, id, customer).make(entries)?;
        if effect.is_real() {
            write(books, id, changes, request.key.as_deref());
        }
    }
    customers::show(books, id)
}

fn write(books: &mut Books, customer: i64, changes: Vec<Change>, key: Option<&str>) {
    for change in changes {
        match change {
            Change::Add(new) => add(books, customer, new, key),
            Change::Update { id, flags, title } => {
                retitle(books, customer, id, title);
                if let Some(profile) = books.loanpro_profile_mut(id) {
                    profile.primary = flags.primary.unwrap_or(profile.primary);
                    profile.secondary = flags.secondary.unwrap_or(profile.secondary);
                    profile.active = flags.active.unwrap_or(profile.active);
                }
                crown(books, customer, id, flags.primary);
            }
        }
    }
    books.changes += 1;
}

fn add(books: &mut Books, customer: i64, new: NewProfile, key: Option<&str>) {
    let id = books.next_profile_id();
    if let Some(owner) = books.customers.get_mut(&customer) {
        owner.profiles.push(id);
        owner.titles.insert(new.title.clone());
    }
    books.profiles.push(Profile {
        id: id.to_string(),
        customer: customer.to_string(),
        system: System::Loanpro,
        title: Some(new.title),
        kind: new.kind,
        token: new.token,
        primary: new.flags.primary.unwrap_or(false),
        secondary: new.flags.secondary.unwrap_or(false),
        active: new.flags.active.unwrap_or(true),
        created_at: Moment::now(),
        idempotency_key: key.map(str::to_owned),
    });
    crown(books, customer, id, new.flags.primary);
}

fn retitle(books: &mut Books, customer: i64, id: i64, title: Option<String>) {
    let Some(title) = title else { return };
    let before = books.loanpro_profile_mut(id).and_then(|profile| profile.title.replace(title.clone()));
    if let Some(owner) = books.customers.get_mut(&customer) {
        owner.titles.insert(title);
        if let Some(before) = before {
            owner.titles.remove(&before);
        }
    }
}

/// Keeps the customer's one primary in step with the profile's flag.
fn crown(books: &mut Books, customer: i64, id: i64, primary: Option<bool>) {
    let Some(owner) = books.customers.get_mut(&customer) else {
        return;
    };
    match primary {
        Some(true) => owner.primary = Some(id),
        Some(false) if owner.primary == Some(id) => owner.primary = None,
        _ => {}
    }
}
