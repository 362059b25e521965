//! `--sample N`: valid events, for the sandbox with customers and tokens that it knows, else with invented ones.

use uuid::Uuid;

use super::input::Draft;
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::Failure;
use crate::cli::sandbox_client::SandboxClient;
use crate::cli::shell::Shell;
use crate::contract::samples::{SampleParts, sample};

/// Samples share so many customers: enough to run side by side, few enough to show the order of one customer's events.
const CUSTOMERS: u64 = 20;

/// Makes them.
///
/// # Errors
/// The sandbox is unreachable or refuses: 69.
pub async fn make(count: u64, endpoint: &Endpoint, shell: &Shell) -> Result<Vec<Draft>, Failure> {
    let sandbox = endpoint.sandbox.as_deref().map(SandboxClient::new);
    let run = Uuid::new_v4().simple().to_string();
    let mut customers = Vec::new();
    let mut drafts = Vec::new();
    for number in 1..=count {
        if number <= CUSTOMERS {
            customers.push(customer(sandbox.as_ref(), number).await?);
        }
        let temporary_token = match &sandbox {
            Some(sandbox) => sandbox.token().await?,
            None => format!("sample-{}", Uuid::new_v4().simple()),
        };
        let index = usize::try_from((number - 1) % CUSTOMERS).unwrap_or_default();
        let customer_id = customers.get(index).cloned().unwrap_or_default();
        let event = sample(number, &run, &SampleParts { customer_id: &customer_id, temporary_token: &temporary_token });
        drafts.push(Draft { place: format!("sample {number}"), text: event.to_string(), event });
    }
    if sandbox.is_none() {
        shell.note("no sandbox is known here: the samples carry invented tokens, which a real vendor refuses");
    }
    Ok(drafts)
}

async fn customer(sandbox: Option<&SandboxClient>, number: u64) -> Result<String, Failure> {
    match sandbox {
        Some(sandbox) => sandbox.customer().await,
        None => Ok(number.to_string()),
    }
}
