//! What the tests run against: real Kafka, real PostgreSQL, the sandbox and the worker as processes of their own.
//!
//! Nothing here imitates a part. Where a real part cannot be had, the test that needs it says so by name, and with
//! `CI=true` it fails: see [`required_part`].

pub mod admin;
pub mod authority;
pub mod child;
pub mod collector;
pub mod detour;
pub mod disk;
pub mod events;
pub mod kafka;
pub mod operator;
pub mod parts;
pub mod patience;
pub mod ports;
pub mod positions;
pub mod postgres;
pub mod records;
pub mod sandbox;
pub mod stand;
pub mod tls_door;
pub mod validity;
pub mod worker;

use std::fmt;

/// Why a real part cannot be had on this machine; reads after "is absent:".
#[derive(Debug, Clone)]
pub struct Absent(pub String);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part, or the reason why the test named cannot run. With `CI=true` there is no such reason: it panics, so that an
/// absent part can never pass for a passed test.
pub fn required_part<T>(test: &str, part: &str, result: Result<T, Absent>) -> Result<T, String> {
    result.map_err(|why| {
        let message = format!("NOT RUN: {test}: {part} is absent: {why}");
        assert!(!is_ci(), "{message}");
        eprintln!("{message}");
        format!("{part} is absent: {why}")
    })
}

fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
