//! The vendors, as far as their effects go: tokens that are used up, profiles that are appended, read-backs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use profile_linker::upstream::http::Call;
use serde_json::{Value, json};

use crate::inputs::{CUSTOMERS, MISSING, REFUSING};
use crate::plan::{Plan, VendorHabits};
use crate::world::State;

/// For so long a customer is said to be missing that is not, and so long it is not again.
const LONGEST_BLINK: Duration = Duration::from_millis(1_200);
const BETWEEN_BLINKS: Duration = Duration::from_secs(60);

/// Which vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    PayIq,
    LoanPro,
    Aloha,
}

impl Vendor {
    pub fn name(self) -> &'static str {
        match self {
            Self::PayIq => "payiq",
            Self::LoanPro => "loanpro",
            Self::Aloha => "aloha",
        }
    }
}

/// A request as it is on the wire.
pub struct Request {
    pub vendor: Vendor,
    pub operation: &'static str,
    pub target: String,
    pub body: Value,
    /// Its sender froze between the gate and the send.
    pub late: bool,
    pub sender: u32,
}

impl Request {
    pub fn new(vendor: Vendor, call: &Call, late: bool, sender: u32) -> Self {
        let body = call.body.as_ref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let (operation, target) = (call.operation, call.target.clone());
        Self { vendor, operation, target, body, late, sender }
    }

    /// The permanent token that a link carries.
    pub fn linked_token(&self) -> Option<String> {
        let entry = &self.body["PaymentAccounts"]["results"][0];
        let tokens = [&entry["CheckingAccount"]["token"], &entry["CreditCard"]["token"], &self.body["CardToken"]];
        tokens.into_iter().find_map(|token| token.as_str()).map(str::to_owned)
    }
}

/// What comes back.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
    /// In seconds.
    pub retry_after: Option<u64>,
}

fn reply(status: u16, body: Value) -> Reply {
    Reply { status, body, retry_after: None }
}

/// A payment profile at a link target.
pub struct Profile {
    pub id: u32,
    pub customer: String,
    pub token: String,
    pub title: String,
    pub primary: bool,
    /// It was made the primary one, at any time.
    pub promoted: bool,
    /// It shall not be.
    pub stays_secondary: bool,
    pub visible_at: Duration,
    /// It came through the named residue.
    pub late: bool,
}

impl Profile {
    /// Its id, as its target tells it.
    pub fn name(&self) -> String {
        if self.is_alohas() { guid(self.id) } else { self.id.to_string() }
    }

    fn is_alohas(&self) -> bool {
        self.customer.contains('-')
    }
}

/// The vendors' books.
pub struct Vendors {
    habits: VendorHabits,
    used: BTreeSet<String>,
    /// Temporary tokens that were converted.
    pub converted: BTreeSet<String>,
    pub profiles: Vec<Profile>,
    /// Customers whose last link was refused: for one of the mutations.
    pub refused: BTreeMap<String, bool>,
    /// Since when customers are said to be missing that are not.
    pub denied: BTreeMap<String, Duration>,
    /// Customers whose profiles another tenant was asked for, and listed none.
    pub misread: BTreeSet<String>,
}

impl Vendors {
    pub fn new(plan: &Plan) -> Self {
        Self {
            habits: plan.vendors,
            used: BTreeSet::new(),
            denied: BTreeMap::new(),
            misread: BTreeSet::new(),
            converted: BTreeSet::new(),
            profiles: Vec::new(),
            refused: BTreeMap::new(),
        }
    }

    /// The profile that is to be made the primary one.
    pub fn promoted(&self, request: &Request) -> Option<&Profile> {
        let entries = request.body["PaymentAccounts"]["results"].as_array()?;
        let id = entries.iter().find(|entry| entry["isPrimary"] == 1)?["id"].as_u64()?;
        self.profiles.iter().find(|profile| u64::from(profile.id) == id)
    }

    /// The profiles that carry this permanent token.
    pub fn with_token<'a>(&'a self, token: &'a str) -> impl Iterator<Item = &'a Profile> {
        self.profiles.iter().filter(move |profile| profile.token == token)
    }
}

impl State {
    pub fn serve(&mut self, request: &Request) -> Reply {
        let reply = match request.operation {
            "auth" => reply(200, json!({"access_token": "bearer", "token_type": "Bearer", "expires_in": 3600})),
            "convert" => self.convert(request),
            "link" => self.link(request),
            "promote" => self.promote(request),
            "lookup" => self.look_up(request),
            _ => self.customer(request),
        };
        let (vendor, operation, status) = (request.vendor, request.operation, reply.status);
        self.say(|| format!("{} {operation} of {}: {status}", vendor.name(), request.sender));
        reply
    }

    fn convert(&mut self, request: &Request) -> Reply {
        let token = request.body["TemporaryToken"].as_str().unwrap_or_default();
        let error = |name: &str, number: u8| {
            reply(200, json!({"Success": false, "ErrorCode": name, "ErrorNum": number, "Errors": ["no"]}))
        };
        if token.ends_with("-declined") {
            return error("Declined", 6);
        }
        if token.ends_with("-locked") {
            return error("UserLocked", 8);
        }
        let fresh = self.vendors.used.insert(token.to_owned());
        if token.ends_with("-invalid") || (!fresh && !self.vendors.habits.reusable_tokens) {
            return error("DataNotFound", 3);
        }
        self.vendors.converted.insert(token.to_owned());
        let result = json!({
            "Token": format!("permanent of {token}"), "IsBankAccount": true, "IsCheckingAccount": true,
            "IsPayPal": token.ends_with("-paypal"), "AccountNumberLastFour": "6789",
        });
        reply(200, json!({"Success": true, "ErrorCode": "None", "ErrorNum": 0, "Result": result}))
    }

    fn link(&mut self, request: &Request) -> Reply {
        let token = request.linked_token().unwrap_or_default();
        let entry = &request.body["PaymentAccounts"]["results"][0];
        let title = entry["title"].as_str().unwrap_or_default().to_owned();
        let customer = match request.vendor {
            Vendor::Aloha => request.body["CustomerId"].as_str().unwrap_or_default().to_owned(),
            _ => customer_of(&request.target),
        };
        if customer == REFUSING || customer == MISSING {
            self.vendors.refused.insert(customer.clone(), true);
            let text = if customer == MISSING { "customer does not exist" } else { "the account is frozen" };
            return reply(409, json!({"error": {"message": text}}));
        }
        let taken = self.vendors.profiles.iter().any(|profile| profile.title == title);
        if self.vendors.habits.unique_titles && taken && request.vendor == Vendor::LoanPro {
            return reply(409, json!({"error": {"message": "title must be unique"}}));
        }
        // Business refusals come and go, also after the profile is there.
        if self.strikes(|rates| rates.call_refused / 4) {
            self.coverage.fault("refused", "link");
            self.vendors.refused.insert(customer, true);
            return reply(409, json!({"error": {"message": "not today"}}));
        }
        let id = 5_000 + self.number();
        let lag = Duration::from_millis(self.chance.pick(&[0, 0, 500, 1_000]));
        let visible_at = self.now + lag;
        self.say(|| format!("profile {id} of {customer} with {token}"));
        let late = request.late;
        self.vendors.refused.insert(customer.clone(), false);
        self.vendors.profiles.push(Profile {
            id,
            customer: customer.clone(),
            token,
            title,
            primary: false,
            promoted: false,
            stays_secondary: false,
            visible_at,
            late,
        });
        // A gateway that repeats a call by itself: done, and then refused. One look must show it.
        if lag.is_zero() && !self.vendors.habits.blinks && self.strikes(|rates| rates.call_refused / 2) {
            self.coverage.fault("done and refused", "link");
            self.vendors.refused.insert(customer, true);
            return reply(409, json!({"error": {"message": "not today"}}));
        }
        match request.vendor {
            Vendor::Aloha => reply(200, json!(guid(id))),
            _ => reply(200, json!({"d": {"id": id, "status": "Active"}})),
        }
    }

    fn promote(&mut self, request: &Request) -> Reply {
        let refused = self.vendors.promoted(request).map(|profile| profile.id);
        if let Some(id) = refused.filter(|_| self.strikes(|rates| rates.call_refused / 2)) {
            self.coverage.fault("refused", "promote");
            let own = self.vendors.profiles.iter_mut().find(|profile| profile.id == id);
            own.into_iter().for_each(|profile| profile.stays_secondary = true);
            return reply(409, json!({"error": {"message": "not today"}}));
        }
        let lag = if self.vendors.habits.blinks { self.chance.pick(&[0, 500, 1_000]) } else { 0 };
        let visible_at = self.now + Duration::from_millis(lag);
        for entry in request.body["PaymentAccounts"]["results"].as_array().into_iter().flatten() {
            let id = entry["id"].as_u64();
            for profile in self.vendors.profiles.iter_mut().filter(|profile| Some(u64::from(profile.id)) == id) {
                profile.primary = entry["isPrimary"] == 1;
                profile.promoted |= profile.primary;
                if profile.primary {
                    profile.visible_at = visible_at;
                }
            }
        }
        reply(200, json!({"d": {"id": 1}}))
    }

    fn look_up(&mut self, request: &Request) -> Reply {
        let customer = customer_of(&request.target);
        if request.vendor == Vendor::LoanPro && (customer == MISSING || self.blinks(&customer)) {
            return reply(404, json!({"error": {"message": "customer does not exist"}}));
        }
        let seen = |profile: &&Profile| profile.customer == customer && profile.visible_at <= self.now;
        let profiles = self.vendors.profiles.iter().filter(seen);
        if request.vendor == Vendor::Aloha {
            let entry = |profile: &Profile| json!({"AccountId": guid(profile.id), "AccountNumber": profile.token});
            return reply(200, Value::Array(profiles.map(entry).collect()));
        }
        let echo = self.vendors.habits.echo;
        let entry = |profile: &Profile| {
            let token = if echo { json!(profile.token) } else { Value::Null };
            json!({
                "id": profile.id, "title": profile.title, "active": 1, "isPrimary": u8::from(profile.primary),
                "isSecondary": 0, "CheckingAccount": {"token": token}, "CreditCard": {},
            })
        };
        reply(200, json!({"d": {"results": profiles.map(entry).collect::<Vec<_>>()}}))
    }

    /// A read that comes too early to know what was changed, and says that nobody is there at all: for a moment, not as long
    /// as one change follows another.
    fn blinks(&mut self, customer: &str) -> bool {
        let now = self.now;
        let is_fresh = |profile: &Profile| profile.customer == customer && profile.visible_at > now;
        if !self.vendors.habits.blinks || !self.vendors.profiles.iter().any(is_fresh) {
            return false;
        }
        let since = self.vendors.denied.entry(customer.to_owned()).or_insert(now);
        if *since + BETWEEN_BLINKS < now {
            *since = now;
        }
        *since + LONGEST_BLINK >= now
    }

    fn customer(&mut self, request: &Request) -> Reply {
        let customer = customer_of(&request.target);
        if request.vendor == Vendor::Aloha {
            return reply(200, json!([]));
        }
        let is_probed = customer == CUSTOMERS[0];
        let blinks = !is_probed && self.blinks(&customer);
        if customer == MISSING || blinks || !CUSTOMERS.contains(&customer.as_str()) {
            return reply(404, json!({"error": {"message": "customer does not exist"}}));
        }
        reply(200, json!({"d": {"id": customer}}))
    }
}

/// `odata.svc/Customers(1001)/..` or `v1/Customers/7b1f../Payments`.
pub fn customer_of(target: &str) -> String {
    let after = target.split_once("Customers").map_or("", |(_, after)| after);
    after.trim_start_matches(['(', '/']).split([')', '/', '?']).next().unwrap_or_default().to_owned()
}

fn guid(id: u32) -> String {
    format!("0d0c0b0a-0000-4000-8000-{id:012}")
}
