//! The state machine of one event: every arrow of its diagram, and what no walk through it may do.
#![expect(clippy::panic, reason = "clippy.toml allows it in test functions only, not in what these share")]

mod budget;
mod checks;
mod converting;
mod doubting;
mod driver;
mod linking;
mod looking;
mod past;
mod promoting;
mod stale;
mod walks;
