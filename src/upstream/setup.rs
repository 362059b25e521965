//! From the configuration to the clients.

use std::sync::Arc;

use super::aloha::Aloha;
use super::credential::CredentialError;
use super::http::{ClientError, HttpClient, Origin, OriginError, Transport};
use super::loanpro::{CustomerId, LoanPro};
use super::payiq::PayIq;
use super::probe::{Watched, Watching};
use super::{Converter, LinkTarget};
use crate::config::{
    AlohaSettings, ConverterSettings, LoanProSettings, PayIqSettings, TargetSettings, UpstreamSettings,
};
use crate::domain::System;

const LOANPRO: &str = "target.loanpro";
const ALOHA: &str = "target.aloha";

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

/// The client of one link target alone; `None` if it is not configured.
///
/// # Errors
/// See [`UpstreamError`].
pub fn link_target(settings: &TargetSettings, system: System) -> Result<Option<Arc<dyn LinkTarget>>, UpstreamError> {
    match system {
        System::Loanpro => settings.loanpro.as_ref().map(build_loanpro).transpose(),
        System::Aloha => settings.aloha.as_ref().map(build_aloha).transpose(),
    }
}

fn build_payiq(settings: &PayIqSettings) -> Result<Arc<dyn Converter>, UpstreamError> {
    Ok(Arc::new(payiq(settings, payiq_transport(settings)?)))
}

fn build_loanpro(settings: &LoanProSettings) -> Result<Arc<dyn LinkTarget>, UpstreamError> {
    Ok(Arc::new(loanpro(settings, loanpro_transport(settings)?)?))
}

fn build_aloha(settings: &AlohaSettings) -> Result<Arc<dyn LinkTarget>, UpstreamError> {
    Ok(Arc::new(aloha(settings, aloha_transport(settings)?)?))
}

pub(super) fn payiq_watched(settings: &PayIqSettings) -> Watched<PayIq> {
    let watching = Watching::new(payiq_transport(settings)?);
    Ok((payiq(settings, watching.clone()), watching))
}

pub(super) fn loanpro_watched(settings: &LoanProSettings) -> Watched<LoanPro> {
    let watching = Watching::new(loanpro_transport(settings)?);
    Ok((loanpro(settings, watching.clone())?, watching))
}

pub(super) fn aloha_watched(settings: &AlohaSettings) -> Watched<Aloha> {
    let watching = Watching::new(aloha_transport(settings)?);
    Ok((aloha(settings, watching.clone())?, watching))
}

fn payiq_transport(settings: &PayIqSettings) -> Result<Arc<dyn Transport>, UpstreamError> {
    transport("payiq", "converter.payiq", &settings.upstream)
}

fn loanpro_transport(settings: &LoanProSettings) -> Result<Arc<dyn Transport>, UpstreamError> {
    transport("loanpro", LOANPRO, &settings.upstream)
}

fn aloha_transport(settings: &AlohaSettings) -> Result<Arc<dyn Transport>, UpstreamError> {
    transport("aloha", ALOHA, &settings.upstream)
}

fn payiq(settings: &PayIqSettings, transport: Arc<dyn Transport>) -> PayIq {
    PayIq::new(transport, settings.api_key.clone(), settings.signing_key.clone())
}

fn loanpro(settings: &LoanProSettings, transport: Arc<dyn Transport>) -> Result<LoanPro, UpstreamError> {
    let probe = settings.probe_customer_id.map(|id| CustomerId::new(id).ok_or(UpstreamError::ProbeCustomer));
    LoanPro::new(transport, settings.token.clone(), &settings.instance_id, probe.transpose()?)
        .map_err(|source| UpstreamError::Credential { table: LOANPRO, source })
}

fn aloha(settings: &AlohaSettings, transport: Arc<dyn Transport>) -> Result<Aloha, UpstreamError> {
    Aloha::new(transport, &settings.user, settings.password.clone(), &settings.company_code)
        .map_err(|source| UpstreamError::Credential { table: ALOHA, source })
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
