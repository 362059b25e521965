//! The sandbox over real HTTP: what each vendor does, what each fault does, and the story that its help tells.
#![expect(
    clippy::unwrap_used,
    reason = "this is a test; clippy's own exemption does not reach functions shared by tests"
)]

mod aloha;
mod books;
mod control;
mod credentials;
mod fault_rules;
mod faults;
mod house;
mod loanpro;
mod loans;
mod payiq;
mod story;
