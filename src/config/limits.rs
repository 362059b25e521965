//! The flood guard's limits as an operator names them when the intake is resumed: what their keys take, in the same words.

use zeroize::Zeroizing;

use super::keys;
use super::kind::{Raw, Value};

/// So many dead letters in a row, as `dead_letters.pause_after_run` takes it.
///
/// # Errors
/// What is allowed, to be read after the name of what was said.
pub fn pause_after_run(text: &str) -> Result<u32, String> {
    match checked("dead_letters.pause_after_run", text) {
        Ok(Value::Count(run)) => u32::try_from(run).map_err(|error| error.to_string()),
        Ok(_) => Err("must be a whole number".to_owned()),
        Err(allowed) => Err(allowed),
    }
}

/// A share of dead letters, as `dead_letters.pause_share` takes it.
///
/// # Errors
/// What is allowed, to be read after the name of what was said.
pub fn pause_share(text: &str) -> Result<f64, String> {
    match checked("dead_letters.pause_share", text) {
        Ok(Value::Number(share)) => Ok(share),
        Ok(_) => Err("must be a number".to_owned()),
        Err(allowed) => Err(allowed),
    }
}

fn checked(path: &str, text: &str) -> Result<Value, String> {
    let key = keys::find(path).ok_or_else(|| format!("{path} is no key"))?;
    let raw = Raw::Loose(Zeroizing::new(text.to_owned()));
    key.kind.check(&raw).ok_or_else(|| format!("must be {}", key.kind.allowed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_named_takes_what_its_key_takes() {
        assert_eq!((pause_after_run("1"), pause_after_run("1000000")), (Ok(1), Ok(1_000_000)));
        for text in ["0", "1000001", "-5", "1.5", "many", ""] {
            assert_eq!(pause_after_run(text), Err("must be a whole number from 1 to 1000000".to_owned()), "{text}");
        }
        assert_eq!((pause_share("0.9"), pause_share("1")), (Ok(0.9), Ok(1.0)));
        for text in ["0", "1.1", "90%", "NaN", ""] {
            assert_eq!(pause_share(text), Err("must be a number from 0.01 to 1".to_owned()), "{text}");
        }
    }
}
