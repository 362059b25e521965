//! `ledger erase`: what the ledger knows of one customer, on the customer's request.

use std::io::IsTerminal;
use std::str::FromStr;

use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::system;
use crate::config::ledger_shown;
use crate::domain::{Customer, System};
use crate::ledger::custody::Erased;
use crate::ledger::{Act, HashKey, LedgerError};

/// A customer as people name one: `loanpro:42`, or as results are told, `loanpro/42`.
#[derive(Debug, Clone)]
pub struct Named(Customer);

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "not a customer; it is named as loanpro:ID or aloha:GUID".to_owned();
        let (system, id) = text.split_once([':', '/']).ok_or_else(wrong)?;
        let system = [System::Loanpro, System::Aloha].into_iter().find(|one| one.as_str() == system);
        let id = Some(id).filter(|id| !id.is_empty() && !id.contains(char::is_whitespace));
        let (system, id) = system.zip(id).ok_or_else(wrong)?;
        Ok(Self(Customer { system, id: id.to_owned() }))
    }
}

/// Erases.
///
/// # Errors
/// The ledger is unreachable (69), or of another version (78). What cannot be erased yet is told (75), and so is a file that was
/// not written anew.
pub async fn execute(Named(customer): Named, why: String, shell: &Shell) -> anyhow::Result<Exit> {
    let config = shell.load()?;
    config.require_keys()?;
    if !agreed(shell)? {
        return Ok(Exit::Interrupted);
    }
    let place = ledger_shown(config.ledger.url.expose_str().unwrap_or_default());
    let vault = system::vault(&config)?;
    let ledger = system::open_ledger(&config).await?;
    let told = |error: &LedgerError| system::ledger_failure(error, &place);
    let identity = ledger.identity().await.map_err(|error| told(&error))?;
    let hash_key = HashKey::open(&identity, &vault).map_err(|error| {
        Failure::new(Exit::BadConfig, format!("the ledger's hash key: {error}"))
            .at("[keys]")
            .fix("configure the key that this ledger was made with")
    })?;
    let mark = hash_key.customer_mark(&customer);
    let act = Act { actor: system::actor(), why: Some(why) };
    let erased = match ledger.custody() {
        Some(custody) => custody.erase_customer(&customer, &mark, &act).await.map_err(|error| told(&error))?,
        None => Erased::default(),
    };
    let json = serde_json::json!({ "customer": mark, "erased": erased.erased, "left": erased.left, "lingers": erased.lingers });
    shell.line(&json, || format!("erased: {}, left: {}; audited as {mark}", erased.erased, erased.left))?;
    Ok(judge(erased).map(|()| Exit::Done).map_err(|failure| failure.at(place))?)
}

/// What another run has to do.
fn judge(Erased { left, lingers, .. }: Erased) -> Result<(), Failure> {
    if left > 0 {
        let what = format!("none of this customer's {left} rows was erased: some are unfinished or not published");
        let fix = "run this again when they have ended; `ledger show` tells what they wait for";
        return Err(Failure::new(Exit::TryAgain, what).fix(fix));
    }
    if lingers {
        let what = "what is erased can still stand in the ledger's file, which was not written anew";
        let fix = "end what else reads the file, see that the disk has room for a copy of it, and run this again";
        return Err(Failure::new(Exit::TryAgain, what).fix(fix));
    }
    Ok(())
}

/// It cannot be undone, so somebody must say yes: `--yes`, or a person at a terminal.
fn agreed(shell: &Shell) -> anyhow::Result<bool> {
    let is_asked = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !shell.yes && !is_asked {
        let refused = Failure::new(Exit::Usage, "nobody is there to be asked");
        return Err(refused.fix("say --yes: an erasure cannot be undone").into());
    }
    shell.confirm("erase the customer's rows for good?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_do_is_told_after_an_erasure() {
        let exit = |erased: Erased| judge(erased).err().map(|failure| failure.exit);
        let done = Erased { erased: 2, ..Erased::default() };
        assert_eq!(exit(done), None);
        assert_eq!(exit(Erased { lingers: true, ..done }), Some(Exit::TryAgain));
        assert_eq!(exit(Erased { left: 1, ..Erased::default() }), Some(Exit::TryAgain));
    }

    #[test]
    fn a_customer_is_named_with_its_system() {
        let named: Named = "loanpro:42".parse().unwrap();
        assert_eq!(named.0, Customer { system: System::Loanpro, id: "42".to_owned() });
        assert!("aloha:93f5f620-ec93-47dd-ab24-c07bbf0b16bf".parse::<Named>().is_ok());
        for text in ["", "42", "loanpro:", "payiq:1", "Loanpro:1", "loanpro:1 2"] {
            assert!(text.parse::<Named>().is_err(), "{text:?}");
        }
    }
}
