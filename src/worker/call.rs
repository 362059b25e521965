//! The calls to the vendors: made of an event, performed beside the dispatcher.

use std::sync::Arc;

use super::dispatcher::Shared;
use super::event::Event;
use super::gate::LaneGate;
use super::outcome;
use crate::contract::{Account, Token};
use crate::domain::ids::CallStep;
use crate::domain::machine::{Effect, Observation};
use crate::domain::outcome::{CallOutcome, CustomerCheck, LookOutcome};
use crate::domain::{Customer, Secret, System};
use crate::upstream::{Conversion, Link, LinkTarget, LookUp, Promotion};

/// One call to a vendor with all that it needs.
pub(super) enum Call {
    Convert(Conversion),
    Link(System, Link),
    LookUp(System, LookUp),
    CheckCustomer(Customer),
    Promote(System, Promotion),
}

impl Call {
    pub fn of(event: &Event, effect: Effect) -> Self {
        let customer = event.profile.customer.clone();
        let token = event.token.clone();
        match effect {
            Effect::Link => Self::Link(
                customer.system,
                Link {
                    customer,
                    // The machine asks for a link only behind `Storing`, or for a token that came permanent.
                    token: token.unwrap_or_else(|| Secret::new(Vec::new())),
                    account: event.account.clone().unwrap_or_else(|| outcome::account_of(None)),
                    provider: event.profile.provider,
                    title: event.title(),
                    secondary: event.profile.secondary,
                    idempotency_key: event.identity.idempotency_key(CallStep::Link),
                },
            ),
            Effect::CheckCustomer => Self::CheckCustomer(customer),
            Effect::Promote(profile) => Self::Promote(
                customer.system,
                Promotion {
                    customer,
                    profile_id: profile.id,
                    other_primary: profile.other_primary,
                    idempotency_key: event.identity.idempotency_key(CallStep::Promote),
                },
            ),
            Effect::Convert => Self::Convert(Conversion {
                temporary_token: match &event.profile.token {
                    Token::Temporary(token) | Token::Permanent(token) => token.clone(),
                },
                customer_token: event.profile.customer_token.clone(),
                external_user_id: event.profile.external_user_id.clone(),
                idempotency_key: event.identity.idempotency_key(CallStep::Convert),
            }),
            _ => Self::LookUp(customer.system, LookUp { customer, markers: event.markers(), token }),
        }
    }

    pub async fn make(self, shared: &Shared, gate: &LaneGate) -> (Observation, Option<(Secret, Account)>) {
        match self {
            Self::Convert(conversion) => {
                let (outcome, converted) = shared.upstreams.converter.convert(&conversion, gate).await.split();
                (Observation::Conversion(outcome), converted.map(|converted| (converted.token, converted.account)))
            }
            Self::Link(system, link) => {
                let outcome = match target(shared, system) {
                    Some(target) => target.link(&link, gate).await,
                    None => CallOutcome::Misconfigured { detail: not_configured(system) },
                };
                (Observation::Link(outcome), None)
            }
            Self::Promote(system, promotion) => {
                let outcome = match target(shared, system) {
                    Some(target) => target.promote(&promotion, gate).await,
                    None => CallOutcome::Misconfigured { detail: not_configured(system) },
                };
                (Observation::Promotion(outcome), None)
            }
            Self::LookUp(system, look_up) => {
                let outcome = match target(shared, system) {
                    Some(target) => target.look_up(&look_up).await,
                    None => LookOutcome::Misconfigured { detail: not_configured(system) },
                };
                (Observation::Looked(outcome), None)
            }
            Self::CheckCustomer(customer) => {
                let check = match target(shared, customer.system) {
                    Some(target) => target.check_customer(&customer).await,
                    None => CustomerCheck::Misconfigured { detail: not_configured(customer.system) },
                };
                (Observation::Customer(check), None)
            }
        }
    }
}

fn target(shared: &Shared, system: System) -> Option<&Arc<dyn LinkTarget>> {
    match system {
        System::Loanpro => shared.upstreams.loanpro.as_ref(),
        System::Aloha => shared.upstreams.aloha.as_ref(),
    }
}

fn not_configured(system: System) -> String {
    format!("[target.{}] is not configured", system.as_str())
}
