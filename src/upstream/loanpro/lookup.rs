//! The read-back: every payment profile of a customer, over all pages, and which of them are ours.
//!
//! "Absent" is a strong word: it lets a link be sent again. It is said only if every page was read, every entry could be
//! judged, and the count agrees with the target's own, where it gives one.

use hyper::Method;

use super::page::{Page, classify_page, failed};
use super::{CustomerId, LoanPro};
use crate::upstream::{LookOutcome, LookUp, OpenGate};

/// Most pages of one look-up. `nopaging` mostly makes it one; 40 of the default size hold 2,000 profiles of a customer.
const MAX_PAGES: usize = 40;
const EXPAND: &str = "$expand=CheckingAccount,CreditCard";

impl LoanPro {
    pub(super) async fn read_profiles(&self, look_up: &LookUp) -> LookOutcome {
        let Some(customer) = CustomerId::of(&look_up.customer) else {
            return failed("the customer id is not one of LoanPro's");
        };
        let path = format!("{}/PaymentAccounts", customer.path());
        let mut query = format!("{EXPAND}&nopaging=true");
        let mut all = Page { legible: true, ..Page::default() };
        for _ in 0..MAX_PAGES {
            match self.read_page(format!("{path}?{query}"), look_up).await {
                Ok(page) if page.is_short_of(all.entries) => return short(all),
                Ok(page) => all.add(page),
                Err(outcome) => return outcome,
            }
            match next_query(&all) {
                Some(next) => query = next,
                None => return all.outcome(),
            }
        }
        failed("the profiles fill more pages than are read")
    }

    async fn read_page(&self, target: String, look_up: &LookUp) -> Result<Page, LookOutcome> {
        let authorised = self
            .authorised("lookup", Method::GET, target)
            .map_err(|error| LookOutcome::Misconfigured { detail: error.to_string() })?;
        let exchange = self.transport.exchange(authorised.call, &OpenGate).await;
        let secrets: Vec<_> = look_up.token.iter().chain([&authorised.credential]).collect();
        classify_page(exchange, look_up, &secrets)
    }
}

/// A page that should have had more: found is found, but nothing is proven absent.
fn short(all: Page) -> LookOutcome {
    Page { legible: false, ..all }.outcome()
}

/// Where the next page is, if there is one. Of `__next` only the place in the list is taken, never an address: our
/// credential goes nowhere but to the base URL.
fn next_query(all: &Page) -> Option<String> {
    if let Some(next) = &all.next {
        let place = next.split(['?', '&']).find(|part| is_place(part));
        return Some(place.map_or_else(|| skip(all.entries), |place| format!("{EXPAND}&{place}")));
    }
    all.total.filter(|total| *total > all.entries).map(|_| skip(all.entries))
}

fn skip(entries: u64) -> String {
    format!("{EXPAND}&$skip={entries}")
}

/// `$skip=50`, `$skiptoken=abc`, `$start=50`, with nothing in it that could be more than a value.
fn is_place(part: &str) -> bool {
    let Some((name, value)) = part.split_once('=') else {
        return false;
    };
    matches!(name.trim_start_matches("%24"), "$skip" | "$skiptoken" | "$start" | "skip" | "skiptoken" | "start")
        && !value.is_empty()
        && value.len() <= 200
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%,'()".contains(&byte))
}
