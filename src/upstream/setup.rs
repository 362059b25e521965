//! From the configuration to the clients.

use std::sync::Arc;

use super::aloha::Aloha;
use super::credential::CredentialError;
use super::http::{ClientError, HttpClient, Origin, OriginError, Transport};
use super::loanpro::{CustomerId, LoanPro};
use super::payiq::PayIq;
use super::{Converter, LinkTarget};
use crate::config::{
    AlohaSettings, ConverterSettings, LoanProSettings, PayIqSettings, TargetSettings, UpstreamSettings,
};

/// The clients of the configured upstreams.
pub struct Upstreams {
    /// PayIQ.
    pub converter: Arc<dyn Converter>,
    /// LoanPro, if configured.
    pub loanpro: Option<Arc<dyn LinkTarget>>,
    /// Aloha, if configured.
    pub aloha: Option<Arc<dyn LinkTarget>>,
}

/// Why an upstream's client cannot be made; names the table at fault.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// `[converter.payiq]` is missing: temporary tokens could not be converted.
    #[error("[converter.payiq] is missing: temporary tokens cannot be converted")]
    NoConverter,
    /// Neither target is there.
    #[error("one of [target.loanpro] and [target.aloha] is needed")]
    NoTarget,
    /// The base URL.
    #[error("[{table}] cannot be used")]
    Origin {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        source: OriginError,
    },
    /// The HTTP client.
    #[error("[{table}] cannot be used")]
    Client {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        source: ClientError,
    },
    /// A value that must stand in a header.
    #[error("[{table}] cannot be used")]
    Credential {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        source: CredentialError,
    },
    /// The probe customer.
    #[error("[target.loanpro] probe_customer_id must be above 0")]
    ProbeCustomer,
}

/// Makes the clients. Connects to nothing and reads no secret's file; only certificates are read.
///
/// # Errors
/// See [`UpstreamError`].
pub fn build(converter: &ConverterSettings, target: &TargetSettings) -> Result<Upstreams, UpstreamError> {
    let payiq = converter.payiq.as_ref().ok_or(UpstreamError::NoConverter)?;
    if target.loanpro.is_none() && target.aloha.is_none() {
        return Err(UpstreamError::NoTarget);
    }
    Ok(Upstreams {
        converter: build_payiq(payiq)?,
        loanpro: target.loanpro.as_ref().map(build_loanpro).transpose()?,
        aloha: target.aloha.as_ref().map(build_aloha).transpose()?,
    })
}

fn build_payiq(settings: &PayIqSettings) -> Result<Arc<dyn Converter>, UpstreamError> {
    let transport = transport("payiq", "converter.payiq", &settings.upstream)?;
    Ok(Arc::new(PayIq::new(transport, settings.api_key.clone(), settings.signing_key.clone())))
}

fn build_loanpro(settings: &LoanProSettings) -> Result<Arc<dyn LinkTarget>, UpstreamError> {
    const TABLE: &str = "target.loanpro";
    let transport = transport("loanpro", TABLE, &settings.upstream)?;
    let probe = settings.probe_customer_id.map(|id| CustomerId::new(id).ok_or(UpstreamError::ProbeCustomer));
    let client = LoanPro::new(transport, settings.token.clone(), &settings.instance_id, probe.transpose()?)
        .map_err(|source| UpstreamError::Credential { table: TABLE, source })?;
    Ok(Arc::new(client))
}

fn build_aloha(settings: &AlohaSettings) -> Result<Arc<dyn LinkTarget>, UpstreamError> {
    const TABLE: &str = "target.aloha";
    let transport = transport("aloha", TABLE, &settings.upstream)?;
    let client = Aloha::new(transport, &settings.user, settings.password.clone(), &settings.company_code)
        .map_err(|source| UpstreamError::Credential { table: TABLE, source })?;
    Ok(Arc::new(client))
}

/// The HTTP client of one table.
fn transport(
    upstream: &'static str,
    table: &'static str,
    settings: &UpstreamSettings,
) -> Result<Arc<dyn Transport>, UpstreamError> {
    let origin = Origin::parse(&settings.base_url, settings.allow_plain_http)
        .map_err(|source| UpstreamError::Origin { table, source })?;
    let client = HttpClient::new(upstream, origin, settings.ca_file.as_deref(), settings.timeout, settings.rate_limit)
        .map_err(|source| UpstreamError::Client { table, source })?;
    Ok(Arc::new(client))
}
