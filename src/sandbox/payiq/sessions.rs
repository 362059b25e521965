//! PayIQ's bearer tokens: good for a while, gone when the sandbox restarts, so that a client must be able to ask anew.

use std::collections::{HashMap, VecDeque};

use data_encoding::BASE64URL_NOPAD;

use crate::sandbox::books::Moment;
use crate::sandbox::stage::Effect;
use crate::sandbox::tokens::{Fingerprint, noise};

/// Life of a bearer token in seconds. The vendor's is unknown; short enough that a long test sees a renewal.
pub const LIFE_SECONDS: u64 = 900;
/// Bearer tokens alive at once; the oldest goes first. A client that asks for one each call keeps working.
const MAX_SESSIONS: usize = 10_000;

/// The bearer tokens that are alive, by fingerprint.
#[derive(Default)]
pub struct Sessions {
    ends: HashMap<Fingerprint, Moment>,
    by_age: VecDeque<Fingerprint>,
}

impl Sessions {
    /// Gives out a bearer token; a feigned one opens nothing.
    pub fn open(&mut self, now: Moment, effect: Effect) -> String {
        let token = BASE64URL_NOPAD.encode(&noise(48));
        if effect.is_real() {
            if self.by_age.len() == MAX_SESSIONS
                && let Some(oldest) = self.by_age.pop_front()
            {
                self.ends.remove(&oldest);
            }
            let fingerprint = Fingerprint::of(&token);
            self.by_age.push_back(fingerprint);
            self.ends.insert(fingerprint, now.plus_seconds(LIFE_SECONDS));
        }
        token
    }

    /// Whether a bearer token is good now.
    #[must_use]
    pub fn admits(&self, token: &str, now: Moment) -> bool {
        self.ends.get(&Fingerprint::of(token)).is_some_and(|end| now < *end)
    }
}
