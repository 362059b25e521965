//! `status`: how a running worker is, in its own words.

use serde_json::Value;

use super::admin_client::{AdminArgs, AdminClient};
use super::exit::{Exit, Failure};
use super::shell::Shell;
use super::text::escaped;
use crate::conditions::Part;

/// Tell what a running worker does, what it waits for and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker status\n\n\
    Exit code 0: the worker answered, whatever it said; `ready` is in the answer.")]
pub struct Args {
    #[command(flatten)]
    admin: AdminArgs,
}

/// Asks.
///
/// # Errors
/// The worker is unreachable (69).
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let client = AdminClient::find(&args.admin, shell)?;
    let answer = client.get("/readyz").await?;
    if !answer.body.get("checks").is_some_and(Value::is_object) {
        let what = format!("what answers is no worker: status {}", answer.status.as_u16());
        let fix = "name the worker's address by --admin, or [admin] listen; its line `worker ready` tells it";
        return Err(Failure::new(Exit::Unavailable, what).at(client.base_url()).fix(fix).into());
    }
    shell.line(&answer.body, || as_text(&answer.body))?;
    Ok(Exit::Done)
}

fn as_text(body: &Value) -> String {
    let head = if body["ready"] == true { "ready" } else { "not ready" };
    let checks = Part::ALL.iter().filter_map(|part| {
        let check = body["checks"].get(part.as_str())?;
        let field = |name: &str| check[name].as_str().unwrap_or("?").to_owned();
        Some(line(part.as_str(), &field("status"), &field("since"), &field("reason")))
    });
    [head.to_owned()].into_iter().chain(checks).collect::<Vec<_>>().join("\n")
}

/// One part. What it says may come from a vendor, and what answers may be no worker at all: nothing of it steers the terminal.
pub(super) fn line(part: &str, status: &str, since: &str, reason: &str) -> String {
    let [status, since, reason] = [status, since, reason].map(escaped);
    format!("{part:<8} {status:<9} since {since}  {reason}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_read_a_line_a_part_in_the_contracts_order() {
        let well = json!({"status": "ok", "since": "2026-01-01T00:00:00Z", "reason": ""});
        let body = json!({"ready": false, "checks": {
            "intake": {"status": "paused", "since": "2026-01-01T00:01:00Z", "reason": "paused by ada: maintenance"},
            "broker": well, "ledger": well, "payiq": well, "loanpro": well, "aloha": well}});
        let text = as_text(&body);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[1]), ("not ready", "broker   ok        since 2026-01-01T00:00:00Z"));
        assert_eq!(lines[6], "intake   paused    since 2026-01-01T00:01:00Z  paused by ada: maintenance");
    }

    #[test]
    fn what_answers_steers_no_terminal() {
        let evil = "ok\u{1b}[2J\n\u{202e}";
        let told = line("broker", evil, evil, evil);
        assert!(!told.chars().any(crate::cli::text::is_unprintable), "{told:?}");
        assert_eq!(told.matches("ok\\u001b[2J\\u000a\\u202e").count(), 3, "it is shown, not run: {told:?}");
    }
}
