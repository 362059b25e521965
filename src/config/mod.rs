//! The effective configuration: one TOML file, every key overridable from the environment.

pub mod settings;

pub use settings::*;
