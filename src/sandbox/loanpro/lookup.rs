//! `GET Customers({id})/PaymentAccounts`: paged by fifty unless told otherwise, children only when expanded, and ids that
//! are numbers or texts as it pleases (here: texts if even).

use serde_json::{Value, json};

use super::refusals::Refused;
use super::shapes::{deferred, metadata};
use crate::contract::AccountKind;
use crate::sandbox::books::{Books, Profile};

/// Entries a page, unless `nopaging=true`; also the most that `$top` gives.
const PAGE: usize = 50;

/// Which profiles are asked for, and how much of each.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    skip: usize,
    top: usize,
    checking_account: bool,
    credit_card: bool,
}

impl Page {
    /// Reads the query; what it does not understand it ignores, as the vendor does.
    #[must_use]
    pub fn parse(query: &[(String, String)]) -> Self {
        let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let number = |name: &str| value(name).and_then(|value| value.parse::<usize>().ok());
        let expand: Vec<_> = value("$expand").unwrap_or_default().split(',').map(str::trim).collect();
        let everything = matches!(value("nopaging"), Some("true" | "1" | ""));
        Self {
            skip: number("$skip").unwrap_or(0),
            top: if everything { usize::MAX } else { number("$top").unwrap_or(PAGE).min(PAGE) },
            checking_account: expand.contains(&"CheckingAccount"),
            credit_card: expand.contains(&"CreditCard"),
        }
    }
}

/// The customer's profiles, oldest first.
///
/// # Errors
/// The customer is missing.
pub fn profiles(books: &Books, customer: i64, page: &Page) -> Result<Value, Refused> {
    let owner = books.customers.get(&customer).ok_or(Refused::NoSuchCustomer(customer))?;
    let ids = owner.profiles.iter().skip(page.skip).take(page.top);
    let results: Vec<Value> =
        ids.filter_map(|id| Some(entry(*id, customer, books.loanpro_profile(*id)?, page))).collect();
    let summary = json!({ "start": page.skip, "pageSize": results.len(), "total": owner.profiles.len() });
    Ok(json!({ "results": results, "summary": summary }))
}

fn entry(id: i64, customer: i64, profile: &Profile, page: &Page) -> Value {
    let uri = format!("/odata.svc/PaymentAccounts(id={id})");
    let card = profile.kind == AccountKind::Card;
    json!({
        "__metadata": metadata(&uri, "PaymentAccount"),
        "id": written(id), "entityType": "Entity.Customer", "entityId": written(customer), "title": profile.title,
        "type": if card { "paymentAccount.type.credit" } else { "paymentAccount.type.checking" },
        "isPrimary": u8::from(profile.primary), "isSecondary": u8::from(profile.secondary),
        "active": u8::from(profile.active), "visible": 1, "created": profile.created_at.as_odata(),
        "creditCardId": if card { written(id) } else { Value::Null },
        "checkingAccountId": if card { Value::Null } else { written(id) },
        "CreditCard": child(&uri, "CreditCard", page.credit_card, card, id, profile),
        "CheckingAccount": child(&uri, "CheckingAccount", page.checking_account, !card, id, profile),
    })
}

/// A child: deferred, or null if the profile has none, or its own record. The token is not echoed.
fn child(uri: &str, name: &str, expanded: bool, has: bool, id: i64, profile: &Profile) -> Value {
    if !expanded {
        return deferred(&format!("{uri}/{name}"));
    }
    if !has {
        return Value::Null;
    }
    let account_type = match profile.kind {
        AccountKind::Checking => json!("bankacct.type.checking"),
        AccountKind::Savings => json!("bankacct.type.savings"),
        AccountKind::Card => Value::Null,
    };
    json!({ "id": written(id), "accountType": account_type, "created": profile.created_at.as_odata() })
}

fn written(id: i64) -> Value {
    if id % 2 == 0 { json!(id.to_string()) } else { json!(id) }
}
