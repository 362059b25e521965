//! One page of the read-back: which of its entries are ours, and whether every one of them could be judged.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::answer::says_missing;
use crate::domain::Secret;
use crate::upstream::answer_text;
use crate::upstream::http::{Answer, Exchange};
use crate::upstream::json::{self, Json};
use crate::upstream::retry_after::retry_after;
use crate::upstream::{AccountForm, FoundProfile, LookOutcome, LookUp, journal};

/// The children that may echo the token.
const CHILDREN: [&str; 2] = ["CheckingAccount", "CreditCard"];

/// One page, read.
#[derive(Default)]
pub struct Page {
    /// Entries whose title carries one of the markers.
    pub marked: Vec<FoundProfile>,
    /// Entries that echo the token and carry nobody's marker.
    pub echoed: Vec<FoundProfile>,
    /// The customer's primary profile, if it is among them.
    pub primary: Option<String>,
    /// Entries on this page.
    pub entries: u64,
    /// Their ids, as far as they have any.
    pub ids: BTreeSet<String>,
    /// Whether every entry could be judged, and none came twice.
    pub legible: bool,
    /// The total over all pages, if given.
    pub total: Option<u64>,
    /// `__next`, if given.
    pub next: Option<String>,
}

impl Page {
    /// An entry that comes again means that the place in the list was not honoured, so that others were not seen.
    pub(super) fn add(&mut self, page: Self) {
        let is_new = |profile: &FoundProfile| !self.ids.contains(&profile.id);
        self.marked.extend(page.marked.into_iter().filter(is_new));
        self.echoed.extend(page.echoed.into_iter().filter(is_new));
        self.primary = self.primary.take().or(page.primary);
        self.entries += page.entries;
        self.legible &= page.legible && self.ids.is_disjoint(&page.ids);
        self.ids.extend(page.ids);
        self.total = page.total;
        self.next = page.next;
    }

    /// Whether this page brings nothing although the target counts more than the entries before it.
    pub(super) fn is_short_of(&self, before: u64) -> bool {
        self.entries == 0 && self.next.is_none() && self.total.is_some_and(|total| total > before)
    }

    /// The marker is ours alone; the token may be another event's, too, so it counts only where no marker does.
    pub(super) fn outcome(self) -> LookOutcome {
        let beside = |mut found: Vec<FoundProfile>| {
            for profile in &mut found {
                profile.other_primary = self.primary.clone().filter(|primary| *primary != profile.id);
            }
            LookOutcome::of(found)
        };
        match (self.marked.is_empty(), self.echoed.is_empty()) {
            (false, _) => beside(self.marked),
            (true, false) => beside(self.echoed),
            (true, true) if !self.legible => failed("the profiles hold an entry that cannot be read"),
            (true, true) => LookOutcome::Absent,
        }
    }
}

/// Reads one page's answer.
///
/// # Errors
/// What the look-up ends with if this page is none.
pub fn classify_page(exchange: Exchange, look_up: &LookUp, secrets: &[&Secret]) -> Result<Page, LookOutcome> {
    let answer = exchange.map_err(|error| failed(&error.to_string()))?;
    if answer.status.as_u16() == 200
        && let Some(body) = Json::parse(&answer.body)
        && let Some(entries) = entries(body.value())
    {
        journal::listed();
        return Ok(page(entries, body.value(), look_up));
    }
    Err(refused(&answer, look_up, secrets))
}

/// A list has nothing that its customer's rules could refuse, so any 409 puts the customer in doubt, or the tenant: the check
/// behind a witness tells. Before the token is known a conversion would follow, as it does if nothing of ours is there: that
/// needs the words for it.
fn refused(answer: &Answer, look_up: &LookUp, secrets: &[&Secret]) -> LookOutcome {
    let detail = answer_text::describe(answer, secrets);
    match answer.status.as_u16() {
        401 | 403 | 301 | 302 | 307 | 308 => LookOutcome::Misconfigured { detail },
        404 | 409 if says_missing(answer) => LookOutcome::CustomerMissing { detail },
        409 if look_up.token.is_some() => LookOutcome::CustomerMissing { detail },
        _ => LookOutcome::Failed { retry_after: retry_after(&answer.headers, answer.received_at), detail },
    }
}

/// The list, with or without `d`, with or without `results`.
fn entries(body: &Value) -> Option<&Vec<Value>> {
    let inner = body.get("d").unwrap_or(body);
    inner.as_array().or_else(|| inner.get("results")?.as_array())
}

fn page(entries: &[Value], body: &Value, look_up: &LookUp) -> Page {
    let inner = body.get("d").unwrap_or(body);
    let mut page = Page { entries: entries.len() as u64, legible: true, ..Page::default() };
    page.ids = entries.iter().filter_map(|entry| json::id(entry.get("id"))).collect();
    page.total = inner.get("summary").and_then(|summary| json::id(summary.get("total"))?.parse().ok());
    page.next = inner.get("__next").and_then(Value::as_str).filter(|next| !next.is_empty()).map(str::to_owned);
    for entry in entries {
        judge(entry, look_up, &mut page);
    }
    page
}

fn judge(entry: &Value, look_up: &LookUp, page: &mut Page) {
    let Some(fields) = entry.as_object() else {
        page.legible = false;
        return;
    };
    let title = fields.get("title").and_then(Value::as_str).map(str::trim_end);
    let marker = title.and_then(marker_of);
    let marked = marker.is_some_and(|marker| look_up.markers.iter().any(|ours| ours == marker));
    let echoed = marker.is_none_or(|marker| !looks_like_ours(marker)) && echoes(fields, look_up.token.as_ref());
    let profile = profile(fields, title);
    if let Some(primary) = profile.as_ref().filter(|profile| profile.primary) {
        page.primary = Some(primary.id.clone());
    }
    match profile {
        Some(profile) if marked => page.marked.push(profile),
        Some(profile) if echoed => page.echoed.push(profile),
        // Ours, but without an id; or nothing to judge it by.
        None if marked || echoed => page.legible = false,
        _ => page.legible &= fields.contains_key("title") || has_token(fields),
    }
}

/// What follows the last ` #` of a title.
fn marker_of(title: &str) -> Option<&str> {
    let (before, marker) = title.rsplit_once('#')?;
    (before.is_empty() || before.ends_with(' ')).then_some(marker)
}

/// The form of our markers: 8 characters of base32. A profile that carries another event's is that event's, though the
/// token be the same.
fn looks_like_ours(marker: &str) -> bool {
    marker.len() == 8 && marker.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte))
}

fn tokens(fields: &Map<String, Value>) -> impl Iterator<Item = &str> {
    CHILDREN.iter().filter_map(|child| fields.get(*child)?.get("token")?.as_str())
}

fn echoes(fields: &Map<String, Value>, token: Option<&Secret>) -> bool {
    token.is_some_and(|token| tokens(fields).any(|echoed| token.same_as(echoed.as_bytes())))
}

fn has_token(fields: &Map<String, Value>) -> bool {
    tokens(fields).next().is_some()
}

fn profile(fields: &Map<String, Value>, title: Option<&str>) -> Option<FoundProfile> {
    Some(FoundProfile {
        id: json::id(fields.get("id"))?,
        primary: json::flag(fields.get("isPrimary")).unwrap_or(false),
        secondary: json::flag(fields.get("isSecondary")).unwrap_or(false),
        title: title.map(str::to_owned),
        // A profile that does not say otherwise is active.
        active: json::flag(fields.get("active")).unwrap_or(true),
        other_primary: None,
        form: form(fields),
    })
}

/// What kind of account it is: by `type`, and `accountType` of its expanded child (upstreams, section 2).
fn form(fields: &Map<String, Value>) -> Option<AccountForm> {
    let account_type = || fields.get("CheckingAccount")?.get("accountType")?.as_str();
    match fields.get("type")?.as_str()? {
        "paymentAccount.type.credit" => Some(AccountForm::Card),
        "paymentAccount.type.checking" if account_type() == Some("bankacct.type.savings") => Some(AccountForm::Savings),
        "paymentAccount.type.checking" => Some(AccountForm::Checking),
        _ => None,
    }
}

/// A look that failed for a reason of ours, not the vendor's words.
pub fn failed(detail: &str) -> LookOutcome {
    LookOutcome::Failed { retry_after: None, detail: detail.to_owned() }
}
