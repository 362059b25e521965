//! LoanPro LMS: links a payment profile to a customer (upstreams, section 2).
//!
//! The link appends, whatever its method says: sent twice, it makes two profiles. Its answer does not name the profile,
//! so even a success is only a claim; `lookup` is the proof. Its 409 is a catch-all, so no text in it proves anything
//! about the customer; `check` does.

mod answer;
mod check;
mod link;
mod lookup;
mod page;
mod promote;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};

pub use check::{CustomerAnswer, classify_customer};
pub use link::classify as classify_link;
pub use page::{Page, classify_page};

use super::credential::{Credential, CredentialError, header_value};
use super::http::{Call, Transport};
use super::{CallOutcome, CustomerCheck, Gate, Link, LinkAnswer, LinkTarget, LookOutcome, LookUp, Promotion};
use crate::config::SecretSource;
use crate::domain::{Customer, Secret, System};

/// Names the tenant.
const INSTANCE_ID: HeaderName = HeaderName::from_static("autopal-instance-id");

/// The client of LoanPro.
pub struct LoanPro {
    transport: Arc<dyn Transport>,
    token: Credential,
    instance_id: HeaderValue,
    probe_customer: Option<CustomerId>,
    /// The last customer that was found: the witness where no probe customer is configured. 0: none.
    found: AtomicI64,
}

/// A customer id that may stand in a URL: decimal, 1..2^63-1, written without sign or leading zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustomerId(i64);

impl CustomerId {
    /// Checks a number.
    #[must_use]
    pub fn new(id: i64) -> Option<Self> {
        (id > 0).then_some(Self(id))
    }

    /// Checks a customer of an event.
    #[must_use]
    pub fn of(customer: &Customer) -> Option<Self> {
        let id = Self::new(customer.id.parse().ok()?)?;
        (customer.system == System::Loanpro && id.to_string() == customer.id).then_some(id)
    }

    /// `odata.svc/Customers({id})`.
    fn path(self) -> String {
        format!("odata.svc/Customers({self})")
    }
}

impl std::fmt::Display for CustomerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A call that is ready to go, and the credential in it, which its answer's texts must not show.
struct Authorised {
    call: Call,
    credential: Secret,
}

impl LoanPro {
    /// A client for one tenant.
    ///
    /// # Errors
    /// The instance id cannot stand in a header.
    pub fn new(
        transport: Arc<dyn Transport>,
        token: SecretSource,
        instance_id: &str,
        probe_customer: Option<CustomerId>,
    ) -> Result<Self, CredentialError> {
        let instance_id = HeaderValue::from_str(instance_id).map_err(|_| CredentialError::Unsendable("instance_id"))?;
        let (token, found) = (Credential::new(token), AtomicI64::new(0));
        Ok(Self { transport, token, instance_id, probe_customer, found })
    }

    fn authorised(
        &self,
        operation: &'static str,
        method: Method,
        target: String,
    ) -> Result<Authorised, CredentialError> {
        let credential = self.token.current()?;
        let call = Call::new(operation, method, target)
            .header(AUTHORIZATION, header_value("Bearer ", &credential, "loanpro token")?)
            .header(INSTANCE_ID, self.instance_id.clone());
        Ok(Authorised { call, credential })
    }
}

#[async_trait]
impl LinkTarget for LoanPro {
    async fn link(&self, link: &Link, gate: &dyn Gate) -> CallOutcome<LinkAnswer> {
        self.put_link(link, gate).await
    }

    async fn promote(&self, promotion: &Promotion, gate: &dyn Gate) -> CallOutcome<()> {
        self.put_promotion(promotion, gate).await
    }

    async fn look_up(&self, look_up: &LookUp) -> LookOutcome {
        let outcome = self.read_profiles(look_up).await;
        if let (LookOutcome::Found { .. }, Some(id)) = (&outcome, CustomerId::of(&look_up.customer)) {
            self.found.store(id.0, Ordering::Relaxed);
        }
        outcome
    }

    async fn check_customer(&self, customer: &Customer) -> CustomerCheck {
        self.check(customer).await
    }
}
