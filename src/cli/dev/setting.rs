//! `dev`'s configuration: written into the data directory, so that it can be read, and read like any other.

use super::home::Home;
use crate::config::{self, Config};

/// The file's name in the data directory.
pub(super) const FILE: &str = "worker.toml";

/// Tables that the environment may change; the rest is `dev`'s own.
const OPEN_TABLES: [&str; 3] = ["PROFILE_LINKER_ADMIN__", "PROFILE_LINKER_WORKER__", "PROFILE_LINKER_RETRY__"];

/// Writes and reads it. The credentials are for the sandbox, which accepts any.
pub(super) fn config(home: &Home, brokers: &str, sandbox: &str, probe: i64) -> anyhow::Result<Config> {
    let key_file = home.key_file()?;
    let ledger = home.path("ledger.db");
    let text = format!(
        r#"# Made by `profile-linker dev` at each start.
[kafka]
brokers = "{brokers}"
group = "profile-linker"
# The embedded broker has no transactions.
delivery = "idempotent"
[kafka.properties]
# It does not wake a waiting fetch.
"fetch.wait.max.ms" = 10

[ledger]
url = {ledger}

[converter.payiq]
base_url = "{sandbox}payiq/"
api_key = "3f2b8c1e-5d4a-4c6b-9e7f-0a1b2c3d4e5f"
signing_key = "any-key-will-do-for-the-sandbox"

[target.loanpro]
base_url = "{sandbox}loanpro/"
token = "any-token-will-do-for-the-sandbox"
instance_id = "5200001"
probe_customer_id = {probe}
settle = "500ms"
looks = 2

[target.aloha]
base_url = "{sandbox}aloha/"
user = "sandbox"
password = "any-password-will-do-for-the-sandbox"
company_code = "SANDBOX"
settle = "500ms"
looks = 2

[keys]
active = "k1"
k1 = {{ file = {key} }}
"#,
        ledger = quoted(&format!("sqlite://{}", ledger.display())),
        key = quoted(&key_file.display().to_string()),
    );
    let path = home.path(FILE);
    std::fs::write(&path, text)?;
    let environment = std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(|name| OPEN_TABLES.iter().any(|table| name.starts_with(table))));
    Ok(config::load(Some(&path), environment, Vec::new())?)
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
