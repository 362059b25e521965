//! `POST Customers` and `GET Customers({id})`.

use serde_json::{Value, json};

use super::refusals::Refused;
use super::shapes::{deferred, metadata};
use crate::sandbox::books::{Books, LoanProCustomer};

/// Longest name that is kept, in characters.
const MAX_NAME: usize = 100;

/// Makes a customer.
///
/// # Errors
/// The body is not an object.
pub fn create(books: &mut Books, body: &Value) -> Result<Value, Refused> {
    if !body.is_object() {
        return Err(Refused::BadPayload("a customer is an object"));
    }
    let name = |member: &str| body[member].as_str().unwrap_or_default().chars().take(MAX_NAME).collect::<String>();
    let id = books.add_customer(&name("firstName"), &name("lastName"));
    show(books, id)
}

/// Shows a customer.
///
/// # Errors
/// There is none of that id.
pub fn show(books: &Books, id: i64) -> Result<Value, Refused> {
    books.customers.get(&id).map(|customer| body(id, customer)).ok_or(Refused::NoSuchCustomer(id))
}

/// A customer as LoanPro shows it: its profiles are deferred, so that a link's answer does not tell the new one's id.
fn body(id: i64, customer: &LoanProCustomer) -> Value {
    let uri = format!("/odata.svc/Customers(id={id})");
    json!({
        "__metadata": metadata(&uri, "Customer"), "id": id, "customId": null, "status": "Active",
        "firstName": customer.first_name, "lastName": customer.last_name, "active": 1,
        "created": customer.created_at.as_odata(),
        "PaymentAccounts": deferred(&format!("{uri}/PaymentAccounts")),
        "Loans": deferred(&format!("{uri}/Loans")),
    })
}
