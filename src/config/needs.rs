//! What a command needs beyond a configuration without mistakes.

use super::error::{ConfigError, Problem};
use super::sealing;
use super::settings::Config;

impl Config {
    /// What the worker cannot start without: a converter, a link target and a sealing key.
    ///
    /// # Errors
    /// Everything that is missing.
    pub fn require_worker(&self) -> Result<(), ConfigError> {
        let mut problems = self.vault_problems();
        if self.converter.payiq.is_none() {
            problems.push(Problem::missing(
                "converter.payiq",
                "is required: temporary tokens cannot be converted without it",
            ));
        }
        if self.target.loanpro.is_none() && self.target.aloha.is_none() {
            problems.push(Problem::missing(
                "target",
                "needs [target.loanpro] or [target.aloha]: there is nothing to link to",
            ));
        }
        ConfigError::unless_empty(problems)
    }

    /// What sealing cannot do without: at least one key, the active one among them.
    ///
    /// # Errors
    /// What is missing.
    pub fn require_keys(&self) -> Result<(), ConfigError> {
        ConfigError::unless_empty(self.vault_problems())
    }

    fn vault_problems(&self) -> Vec<Problem> {
        let missing = self.keys.keys.is_empty();
        missing.then(|| Problem::missing("keys", sealing::advice(&self.keys.active))).into_iter().collect()
    }
}
