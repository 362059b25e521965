//! `intake`: stops and resumes the taking of events, of all workers of a ledger.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::admin_client::{AdminArgs, AdminClient, Answer};
use super::exit::{Exit, Failure};
use super::shell::Shell;
use super::text::escaped;
use super::{status, system};
use crate::admin::TOKEN_UNREADABLE;
use crate::config::{pause_after_run, pause_share};

/// Stop and resume taking events, of every worker of the ledger
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker intake pause --why maintenance\n  profile-linker intake resume")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Take and begin no further event until it is resumed; calls that are out end, a restart does not forget it
    #[command(after_help = "Example:\n  profile-linker intake pause --why maintenance")]
    Pause(Said),
    /// Take events again, whoever paused it: a person, or the flood guard, whose counts begin anew
    #[command(
        after_help = "Example:\n  profile-linker intake resume\n  profile-linker intake resume --limit 5000 --why known\n\n\
        The limits count for all workers of the ledger, also after a restart, until the next `intake resume`: without\n\
        them it takes them back."
    )]
    Resume(Resumed),
}

#[derive(Debug, clap::Args)]
struct Resumed {
    /// Pause again after so many dead letters in a row only; the share counts from so many ended events on, too
    #[arg(long, value_name = "N", value_parser = pause_after_run)]
    limit: Option<u32>,
    /// Pause again at such a share of dead letters only, 0.01 to 1
    #[arg(long, value_name = "SHARE", value_parser = pause_share)]
    share: Option<f64>,
    #[command(flatten)]
    said: Said,
}

#[derive(Debug, clap::Args)]
struct Said {
    /// Why; shown to others, and kept in the ledger's audit table
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Pauses or resumes.
///
/// # Errors
/// The worker is unreachable (69), refuses the token or cannot read its own (78), or cannot reach its ledger now (75).
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let (path, said, limit, share) = match args.command {
        Command::Pause(said) => ("/api/v1/intake/pause", said, None, None),
        Command::Resume(Resumed { limit, share, said }) => ("/api/v1/intake/resume", said, limit, share),
    };
    let client = AdminClient::find(&said.admin, shell)?;
    let mut body = json!({ "why": said.why, "by": system::actor() });
    // A worker of an earlier version takes no word that it does not know.
    let limits = [("limit", limit.map(|limit| json!(limit))), ("share", share.map(|share| json!(share)))];
    for (name, value) in limits {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    let answer = client.post(path, &body).await?;
    if answer.status != StatusCode::OK {
        return Err(refusal(&answer).at(client.base_url()).into());
    }
    let intake = &answer.body["intake"];
    let field = |name: &str| intake[name].as_str().unwrap_or("?").to_owned();
    shell.line(&answer.body, || status::line("intake", &field("status"), &field("since"), &field("reason")))?;
    Ok(Exit::Done)
}

fn refusal(answer: &Answer) -> Failure {
    let told = answer.body.get("error").and_then(Value::as_str).unwrap_or("it is no worker of this version");
    // Whoever answers may be no worker of ours.
    let what = format!("the worker refuses ({}): {}", answer.status.as_u16(), escaped(told));
    match answer.status {
        StatusCode::SERVICE_UNAVAILABLE if told == TOKEN_UNREADABLE => Failure::new(Exit::BadConfig, what)
            .fix("mend the file of [admin] token_file where the worker runs; it is read again with each request"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::new(Exit::BadConfig, what)
            .fix("name the worker's token by --token-file; a worker without [admin] token takes no one's"),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => {
            Failure::new(Exit::TryAgain, what).fix("try again when the ledger is back; `profile-linker status` tells")
        }
        StatusCode::BAD_REQUEST => Failure::new(Exit::Usage, what)
            .fix("say it by --why in one short line, without control characters; a worker of an earlier version takes no --limit"),
        _ => Failure::new(Exit::Failed, what).fix("name the address of a worker of this version by --admin"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: StatusCode, error: &str) -> Failure {
        refusal(&Answer { status, body: json!({ "status": status.as_u16(), "error": error }) })
    }

    #[test]
    fn a_worker_that_cannot_read_its_token_is_not_taken_for_a_ledger_that_is_away() {
        let away = refused(StatusCode::SERVICE_UNAVAILABLE, "the ledger does not take it now; try again");
        assert_eq!((away.exit, away.fix_shown().unwrap().contains("ledger")), (Exit::TryAgain, true));
        let unreadable = refused(StatusCode::SERVICE_UNAVAILABLE, TOKEN_UNREADABLE);
        let fix = unreadable.fix_shown().unwrap();
        assert_eq!(unreadable.exit, Exit::BadConfig);
        assert!(fix.contains("token_file") && !fix.contains("ledger"), "{fix}");
    }

    #[test]
    fn every_refusal_tells_what_to_do() {
        let statuses = [400, 401, 403, 404, 408, 500, 503].map(|code| StatusCode::from_u16(code).unwrap());
        for status in statuses {
            assert!(refused(status, "no").fix_shown().is_some(), "{status}");
        }
        assert_eq!(refused(StatusCode::BAD_REQUEST, "why must be text").exit, Exit::Usage);
    }

    #[test]
    fn whoever_refuses_steers_no_terminal() {
        let told = refused(StatusCode::NOT_FOUND, "a\u{1b}[2J\u{202e}b").in_one_line();
        assert_eq!(told, "the worker refuses (404): a\\u001b[2J\\u202eb");
    }
}
