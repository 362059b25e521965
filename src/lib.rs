//! profile-linker: turns "a customer just typed in a bank account or card" into "that payment profile can be charged".

pub mod cli;
pub mod clock;
pub mod config;
pub mod contract;
pub mod domain;
pub mod kafka;
pub mod ledger;
pub mod sandbox;
pub mod upstream;
pub mod worker;
