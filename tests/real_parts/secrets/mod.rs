//! I5: after a load of everything that can happen, no token is anywhere but where its producer put it.

mod keys;
mod load;
mod needles;
mod planted;
mod scan;
mod sweep;

use crate::support::parts::Case;

/// The scans.
pub const CASES: &[Case] = scan::CASES;
/// That the searcher finds what is there to be found.
pub const PLANTED: &[Case] = planted::CASES;
/// Keys that change, and keys that are missing.
pub const KEYS: &[Case] = keys::CASES;
