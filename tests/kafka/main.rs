//! The Kafka client's side against the client's embedded broker, which injects errors that a real one seldom shows.
//!
//! What that broker cannot do (transactions that count, fencing, topics made anew) is in `tests/real_parts`.
#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at its first surprise")]
#![allow(dead_code, reason = "the support modules are shared; each test binary uses its own share of them")]

mod backlog;
mod membership;
#[path = "../support/patience.rs"]
mod patience;
mod place;
mod transactions;
