//! From checked values to the typed [`Config`]; what depends on more than one key is checked here.

use std::path::Path;

use super::error::{ConfigError, Problem};
use super::kind::Kind;
use super::reading::Reading;
use super::{address, cross, properties, sealing, settings::*};
use crate::contract::results::OutputMode;
use crate::domain::Secret;

impl Reading {
    /// The whole configuration.
    ///
    /// # Errors
    /// Everything that is wrong, over all keys and all files that they name.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let mut problems = self.problems.clone();
        cross::check(self, &mut problems);
        let keys = sealing::keys(self, &mut problems);
        ConfigError::unless_empty(problems)?;
        Ok(Config {
            kafka: self.kafka_settings()?,
            ledger: self.ledger()?,
            worker: self.worker()?,
            converter: ConverterSettings { payiq: self.table("converter.payiq", Self::payiq)? },
            target: TargetSettings {
                loanpro: self.table("target.loanpro", Self::loanpro)?,
                aloha: self.table("target.aloha", Self::aloha)?,
            },
            retry: self.retry()?,
            breaker: self.breaker()?,
            dead_letters: self.dead_letters()?,
            keys: KeySettings { active: self.text("keys.active")?, keys },
            admin: self.admin_settings()?,
            telemetry: self.telemetry()?,
        })
    }

    /// `[kafka]` alone, for commands that need neither ledger nor upstreams: no file of a secret is opened.
    ///
    /// # Errors
    /// Everything that is wrong with any key: a mistake must not wait for the next command.
    pub fn kafka(&self) -> Result<Kafka, ConfigError> {
        let mut problems = self.problems.clone();
        cross::check_topics(self, &mut problems);
        ConfigError::unless_empty(problems)?;
        self.kafka_settings()
    }

    /// `[admin]` alone, for commands that call a running worker: no file of another secret is opened.
    ///
    /// # Errors
    /// As [`Reading::kafka`].
    pub fn admin(&self) -> Result<AdminSettings, ConfigError> {
        ConfigError::unless_empty(self.problems.clone())?;
        self.admin_settings()
    }

    fn admin_settings(&self) -> Result<AdminSettings, ConfigError> {
        Ok(AdminSettings { listen: self.listen("admin.listen")?, token: self.optional_secret("admin.token") })
    }

    fn table<T>(
        &self,
        table: &str,
        build: impl FnOnce(&Self) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.uses(table).then(|| build(self)).transpose()
    }

    fn kafka_settings(&self) -> Result<Kafka, ConfigError> {
        let transactional = self.text("kafka.delivery")? == "transactional";
        let structured = self.text("kafka.output_mode")? == "structured";
        let mut properties = self.properties.iter().map(|(name, one)| (name.clone(), one.value.clone())).collect();
        properties::complete(&mut properties);
        Ok(Kafka {
            brokers: self.text("kafka.brokers")?,
            group: self.text("kafka.group")?,
            topics: Topics {
                created: self.text("kafka.topics.created")?,
                linked: self.text("kafka.topics.linked")?,
                rejected: self.text("kafka.topics.rejected")?,
                dead_letter: self.text("kafka.topics.dead_letter")?,
            },
            delivery: if transactional { Delivery::Transactional } else { Delivery::Idempotent },
            output_mode: if structured { OutputMode::Structured } else { OutputMode::Binary },
            properties,
            password_file: self.password_file.clone(),
        })
    }

    fn ledger(&self) -> Result<LedgerSettings, ConfigError> {
        let url = match self.secret("ledger.url")? {
            SecretSource::Value(url) => url,
            SecretSource::File(path) => ledger_url(&path)?,
        };
        Ok(LedgerSettings { url, retention: self.duration("ledger.retention")? })
    }

    fn worker(&self) -> Result<WorkerSettings, ConfigError> {
        Ok(WorkerSettings {
            max_in_flight: self.count("worker.max_in_flight")?,
            max_waiting: self.count("worker.max_waiting")?,
            max_bytes: self.count("worker.max_bytes")?,
            per_customer_order: self.switch("worker.per_customer_order")?,
            shutdown_timeout: self.duration("worker.shutdown_timeout")?,
        })
    }

    fn upstream(&self, table: &str) -> Result<UpstreamSettings, ConfigError> {
        let path = |name: &str| format!("{table}.{name}");
        Ok(UpstreamSettings {
            base_url: self.text(&path("base_url"))?,
            timeout: self.duration(&path("timeout"))?,
            rate_limit: self.optional_number(&path("rate_limit")),
            allow_plain_http: self.switch(&path("allow_plain_http"))?,
            ca_file: self.optional_file(&path("ca_file")),
        })
    }

    fn look(&self, table: &str) -> Result<LookSettings, ConfigError> {
        Ok(LookSettings {
            settle: self.duration(&format!("{table}.settle"))?,
            looks: self.count(&format!("{table}.looks"))?,
        })
    }

    fn payiq(&self) -> Result<PayIqSettings, ConfigError> {
        Ok(PayIqSettings {
            upstream: self.upstream("converter.payiq")?,
            api_key: self.secret("converter.payiq.api_key")?,
            signing_key: self.secret("converter.payiq.signing_key")?,
        })
    }

    fn loanpro(&self) -> Result<LoanProSettings, ConfigError> {
        Ok(LoanProSettings {
            upstream: self.upstream("target.loanpro")?,
            token: self.secret("target.loanpro.token")?,
            instance_id: self.text("target.loanpro.instance_id")?,
            probe_customer_id: self.count("target.loanpro.probe_customer_id").ok(),
            look: self.look("target.loanpro")?,
        })
    }

    fn aloha(&self) -> Result<AlohaSettings, ConfigError> {
        Ok(AlohaSettings {
            upstream: self.upstream("target.aloha")?,
            user: self.text("target.aloha.user")?,
            password: self.secret("target.aloha.password")?,
            company_code: self.text("target.aloha.company_code")?,
            look: self.look("target.aloha")?,
        })
    }

    fn retry(&self) -> Result<RetrySettings, ConfigError> {
        Ok(RetrySettings {
            initial: self.duration("retry.initial")?,
            multiplier: self.number("retry.multiplier")?,
            max_interval: self.duration("retry.max_interval")?,
            budget: self.duration("retry.budget")?,
        })
    }

    fn breaker(&self) -> Result<BreakerSettings, ConfigError> {
        Ok(BreakerSettings {
            failures: self.count("breaker.failures")?,
            failure_rate: self.number("breaker.failure_rate")?,
            window: self.duration("breaker.window")?,
            probe_interval: self.duration("breaker.probe_interval")?,
        })
    }

    fn dead_letters(&self) -> Result<DeadLetterSettings, ConfigError> {
        Ok(DeadLetterSettings {
            pause_after_run: self.count("dead_letters.pause_after_run")?,
            pause_share: self.number("dead_letters.pause_share")?,
            window: self.duration("dead_letters.window")?,
            pause_min: self.count("dead_letters.pause_min")?,
            replay_share: self.number("dead_letters.replay_share")?,
            allow_edit: self.switch("dead_letters.allow_edit")?,
            retention: self.duration("dead_letters.retention")?,
        })
    }

    fn telemetry(&self) -> Result<TelemetrySettings, ConfigError> {
        let endpoint = self.text("telemetry.otlp_endpoint")?;
        Ok(TelemetrySettings {
            otlp_endpoint: (!endpoint.is_empty()).then_some(endpoint),
            log_json: self.text("telemetry.log_format")? == "json",
        })
    }
}

fn ledger_url(path: &Path) -> Result<Secret, ConfigError> {
    let text = sealing::line_of(path).map_err(|message| Problem::missing("ledger.url_file", message))?;
    if !address::is_ledger(&text) {
        let message = format!("{} must hold {}", path.display(), Kind::LedgerUrl.allowed());
        return Err(Problem::missing("ledger.url_file", message).into());
    }
    Ok(Secret::from(text.to_string()))
}
