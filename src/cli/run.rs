//! `run`: the worker.

use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::shell::Shell;
use super::signals::Signals;
use super::system::{self, Peculiarities};
use super::{panics, telemetry};
use crate::ledger::Act;

/// Run the worker: take events, convert, link, publish results
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker run --config worker.toml")]
pub struct Args {
    /// Make the ledger serve this cluster, group and topic from Kafka's positions on, whatever it served before; also after
    /// a restore from a backup that the worker could not notice. Once, not in a unit file
    #[arg(long)]
    adopt_ledger: bool,
}

/// Runs the worker until it is stopped: a first SIGTERM or Ctrl-C lets it finish what is on the wire, a second one ends
/// it at once.
///
/// # Errors
/// The configuration or the ledger is wrong (78), the ledger or the broker is unreachable (69).
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let config = shell.load()?;
    config.require_worker()?;
    telemetry::init(config.telemetry.log_json, telemetry::WORKER_FILTER);
    let stop = CancellationToken::new();
    let mut signals = Signals::listen()?;
    panics::end_the_process();
    let adopt = args.adopt_ledger.then(|| Act { actor: system::actor(), why: Some("run --adopt-ledger".to_owned()) });
    let peculiarities = Peculiarities { adopt, ..Peculiarities::default() };
    let door = system::door(&config).await?;
    let (worker, admin) = tokio::select! {
        started = system::worker(config, door, peculiarities, stop.clone()) => started?,
        exit = signals.next() => return Ok(exit),
    };
    tracing::info!(admin.address = %admin.address(), "worker ready");
    let mut running = tokio::spawn(worker.run());
    let asked = tokio::select! {
        ended = &mut running => return ended?.map(|()| Exit::Done).map_err(|error| system::worker_failure(&error).into()),
        exit = signals.next() => exit,
    };
    let leaving = admin.leaving();
    stop.cancel();
    tokio::select! {
        ended = running => ended?.map_err(|error| system::worker_failure(&error))?,
        _ = signals.next() => tracing::warn!("stopped at once; what was not finished is in the ledger"),
    }
    // It told until now that the worker goes.
    admin.stop().await;
    drop(leaving);
    Ok(asked)
}
