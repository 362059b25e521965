//! The faults in force: rules that disturb the calls they match, first rule first. Set, listed and taken away at run time.

pub mod parse;

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use rand::RngExt;
use serde_json::Value;

use super::calls::{Call, Route};

/// Rules in force at once; each call walks over them.
pub const MAX_RULES: usize = 1000;

/// What a fault does to a call.
#[derive(Debug, Clone)]
pub enum Act {
    /// Answers this instead of applying.
    Status(Reply),
    /// Closes the connection without applying.
    Drop,
    /// Applies, then closes the connection.
    ApplyDrop,
    /// Waits, then applies and answers.
    Delay,
    /// Applies, then waits, then answers.
    ApplyDelay,
    /// Neither applies nor answers.
    Hang,
    /// Applies and answers 200 with what is not JSON.
    Garbage,
    /// Answers as if applied.
    Nothing,
}

impl PartialEq for Act {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Act {
    /// The name in a rule.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Drop => "drop",
            Self::ApplyDrop => "apply_drop",
            Self::Delay => "delay",
            Self::ApplyDelay => "apply_delay",
            Self::Hang => "hang",
            Self::Garbage => "garbage",
            Self::Nothing => "nothing",
        }
    }
}

/// The answer of a `status` fault.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers on top.
    pub headers: HeaderMap,
    /// Body, as it goes out.
    pub body: String,
}

impl Reply {
    /// The answer.
    #[must_use]
    pub fn response(self) -> Response {
        let mut response = Response::new(self.body.into());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// How long a fault waits.
#[derive(Debug, Clone, Copy)]
pub enum Wait {
    /// So long.
    Fixed(Duration),
    /// Anything between, evenly.
    Uniform(Duration, Duration),
}

impl Wait {
    fn draw(self) -> Duration {
        match self {
            Self::Fixed(wait) => wait,
            Self::Uniform(least, most) => rand::rng().random_range(least..=most),
        }
    }
}

/// Which calls a rule matches.
#[derive(Debug, Clone)]
pub enum RoutePattern {
    /// Every route that faults can be set on.
    All,
    /// All of one vendor, named with its dot.
    Vendor(&'static str),
    /// One.
    One(Route),
}

impl RoutePattern {
    fn matches(&self, route: Route) -> bool {
        let wanted = match self {
            Self::All => true,
            Self::Vendor(prefix) => route.0.starts_with(prefix),
            Self::One(one) => *one == route,
        };
        wanted && Route::FAULTABLE.contains(&route)
    }
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// On which calls.
    pub routes: RoutePattern,
    /// What to do.
    pub act: Act,
    /// How long to wait.
    pub wait: Wait,
    /// With what probability, above 0 and up to 1.
    pub probability: f64,
    /// For how many more calls; `None`: until taken away. A rule used up goes by itself.
    pub left: Option<u64>,
    /// Only for these customers; empty: for all. A call about nobody matches none.
    pub customers: Vec<String>,
    /// As it was set, for the list.
    pub text: Value,
}

impl Rule {
    fn matches(&self, call: &Call) -> bool {
        let about = call.customer.as_ref();
        let meant = self.customers.is_empty() || about.is_some_and(|customer| self.customers.contains(customer));
        meant
            && self.routes.matches(call.route)
            && (self.probability >= 1.0 || rand::rng().random_bool(self.probability))
    }
}

/// A fault that strikes a call.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What to do.
    pub act: Act,
    /// How long to wait.
    pub delay: Duration,
}

/// The rules in force, in the order they were set.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<(u64, Rule)>,
    last_id: u64,
}

impl Faults {
    /// Adds rules and gives their ids; `None` if there would be more than [`MAX_RULES`].
    pub fn set(&mut self, rules: Vec<Rule>) -> Option<Vec<u64>> {
        if self.rules.len() + rules.len() > MAX_RULES {
            return None;
        }
        let first = self.last_id + 1;
        for rule in rules {
            self.last_id += 1;
            self.rules.push((self.last_id, rule));
        }
        Some((first..=self.last_id).collect())
    }

    /// All rules, each as it was set, with its `id` and, if it counts, the `left` calls.
    #[must_use]
    pub fn list(&self) -> Vec<Value> {
        let shown = |(id, rule): &(u64, Rule)| {
            let mut text = rule.text.clone();
            text["id"] = (*id).into();
            if let Some(left) = rule.left {
                text["left"] = left.into();
            }
            text
        };
        self.rules.iter().map(shown).collect()
    }

    /// Takes all rules away.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// Takes one rule away; `false` if there is none of that id.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.rules.len();
        self.rules.retain(|(present, _)| *present != id);
        self.rules.len() < before
    }

    /// The fault that strikes this call, if any.
    pub fn strike(&mut self, call: &Call) -> Option<Fault> {
        let place = self.rules.iter().position(|(_, rule)| rule.matches(call))?;
        let rule = &mut self.rules[place].1;
        let fault = Fault { act: rule.act.clone(), delay: rule.wait.draw() };
        if let Some(left) = &mut rule.left {
            *left -= 1;
            if *left == 0 {
                self.rules.remove(place);
            }
        }
        Some(fault)
    }
}
