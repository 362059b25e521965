//! `dev`: the whole system in one process, with samples to look at.

mod broker;
mod home;
mod samples;
mod screen;
mod setting;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::connection::{AdminAddress, Announced, Connection};
use super::endpoint::Endpoint;
use super::exit::{Exit, Failure};
use super::follow::Follower;
use super::pipe::reader_is_gone;
use super::records::Record;
use super::shell::Shell;
use super::signals::Signals;
use super::start::Start;
use super::system::{self, Peculiarities};
use super::{telemetry, text};
use crate::admin::{self, Door};
use crate::config::Config;
use crate::sandbox::{self, SandboxOptions};
use crate::worker::{Milestone, WorkerError};
use home::Home;
use screen::Screen;

/// How long the samples may take, all together; they take a few seconds.
const SAMPLES_LIMIT: Duration = Duration::from_secs(60);

/// Run the whole system in one process: broker, ledger, sandbox, worker; publish samples and show their results
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker dev --exit-after-samples\n\n\
    Its topics live in memory, new at each start. Each partition keeps its newest 5 MB: what is published faster than it is \
    read is lost beyond that, so large inputs belong on a real Kafka.")]
pub struct Args {
    /// Keep ledger, keys and the sandbox's books here between runs; unset: a fixed folder, emptied at start
    #[arg(long, value_name = "DIR", env = "PROFILE_LINKER_DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
    /// End when the samples have their results; exit 0 only if each is the one expected
    #[arg(long)]
    exit_after_samples: bool,
}

/// Runs the whole system until it is stopped.
///
/// # Errors
/// The data directory is in use or cannot be written (1), or a sample did not get its result (1).
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    telemetry::init(false, telemetry::COMMAND_FILTER);
    let mut signals = Signals::listen()?;
    let home = Home::open(args.data_dir)?;
    let (mut system, mut worker) = System::start(&home).await?;
    let outcome = tokio::select! {
        outcome = system.play(args.exit_after_samples, shell) => outcome,
        exit = signals.next() => Ok(exit),
        // What ends by itself is awaited for its exit code.
        () = reader_is_gone(), if !args.exit_after_samples => Ok(Exit::Done),
        failure = ended(&mut worker) => return Err(failure.into()),
    };
    system.stop(worker).await.and(outcome)
}

/// The running worker.
type Running = tokio::task::JoinHandle<Result<(), WorkerError>>;

/// Everything that runs beside it.
struct System {
    sandbox: sandbox::Running,
    admin: admin::Running,
    _broker: broker::EmbeddedBroker,
    milestones: UnboundedReceiver<Milestone>,
    stop: CancellationToken,
    announced: Announced,
    endpoint: Endpoint,
    follower: Follower,
    home_shown: String,
    run: String,
}

impl System {
    async fn start(home: &Home) -> anyhow::Result<(Self, Running)> {
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let books = Some(home.path("sandbox-books.json"));
        let sandbox = sandbox::start(SandboxOptions { listen, strict: None, books }).await?;
        let broker = broker::EmbeddedBroker::start()?;
        let probe = home.probe_customer(&sandbox)?;
        let config = setting::config(home, broker.address(), &sandbox.base_url(), probe)?;
        crate::ledger::migrate(&config.ledger.url, &system::vault(&config)?).await?;
        let door = door(&config).await?;
        let mut connection = Connection {
            brokers: broker.address().to_owned(),
            topics: (&config.kafka.topics).into(),
            sandbox: Some(sandbox.base_url()),
            admin: None,
            config: Some(home.path(setting::FILE)),
            pid: std::process::id(),
            embedded: true,
        };
        let endpoint = Endpoint::of_dev(connection.clone());
        let topics = [endpoint.topics.linked.as_str(), endpoint.topics.rejected.as_str()];
        let follower = Follower::new(&endpoint, &topics, Start::Beginning).await?;
        let (told, milestones) = unbounded_channel();
        let run = uuid::Uuid::new_v4().simple().to_string();
        let peculiarities = Peculiarities {
            adopt: None,
            // The embedded broker is another one at every start; the ledger stays.
            cluster_id: Some("dev".to_owned()),
            topic_id: Some(run.clone()),
            milestones: Some(told),
        };
        let stop = CancellationToken::new();
        let (worker, admin) = system::worker(config, door, peculiarities, stop.clone()).await?;
        let worker = tokio::spawn(worker.run());
        let token = admin.made_token().and_then(|token| token.expose_str()).map(str::to_owned);
        connection.admin = Some(AdminAddress { url: format!("http://{}", admin.address()), token });
        let announced = connection.announce(home.directory())?;
        let home_shown = home.directory().display().to_string();
        let system =
            Self { sandbox, admin, _broker: broker, milestones, stop, announced, endpoint, follower, home_shown, run };
        Ok((system, worker))
    }

    /// Shows the samples, and then, unless that is all, what comes.
    async fn play(&mut self, samples_only: bool, shell: &Shell) -> anyhow::Result<Exit> {
        let as_expected = self.show_samples(shell).await?;
        if samples_only {
            return Ok(if as_expected { Exit::Done } else { Exit::Failed });
        }
        let (home, address) = (&self.home_shown, self.admin.address());
        shell.note(&screen::commands(home, address, self.announced.is_found()));
        self.follow(shell).await
    }

    /// Publishes the samples and shows them until each has its result; answers whether all are the ones expected.
    async fn show_samples(&mut self, shell: &Shell) -> anyhow::Result<bool> {
        let samples = samples::make(&self.sandbox, &self.run).await?;
        let mut screen = Screen::new(&samples, shell, &self.endpoint, &self.home_shown);
        screen.arrived(&samples::publish(&samples, &self.endpoint).await?);
        let late = tokio::time::sleep(SAMPLES_LIMIT);
        tokio::pin!(late);
        while !screen.is_complete() {
            tokio::select! {
                biased;
                Some(milestone) = self.milestones.recv() => screen.step(&milestone),
                record = self.follower.next() => screen.result(&record?)?,
                () = &mut late => break,
            }
        }
        Ok(screen.finish())
    }

    /// Shows what is published from now on.
    async fn follow(&mut self, shell: &Shell) -> anyhow::Result<Exit> {
        loop {
            tokio::select! {
                Some(_) = self.milestones.recv() => {}
                record = self.follower.next() => show(shell, &record?)?,
            }
        }
    }

    /// Ends everything in order, so that a kept data directory can be started again.
    async fn stop(self, worker: Running) -> anyhow::Result<()> {
        self.stop.cancel();
        worker.await?.map_err(|error| system::worker_failure(&error))?;
        self.admin.stop().await;
        self.sandbox.stop().await?;
        Ok(())
    }
}

/// The usual address, where somebody else has it any other one, unless one was asked for.
async fn door(config: &Config) -> anyhow::Result<Door> {
    let asked_for = std::env::var_os("PROFILE_LINKER_ADMIN__LISTEN").is_some();
    match system::door(config).await {
        Err(_) if !asked_for => Ok(Door::open((config.admin.listen.ip(), 0).into()).await?),
        door => Ok(door?),
    }
}

fn show(shell: &Shell, record: &Record) -> anyhow::Result<()> {
    shell.line(record, || text::line(record))
}

/// Why the worker ended by itself.
async fn ended(worker: &mut Running) -> Failure {
    match worker.await {
        Ok(Err(error)) => system::worker_failure(&error),
        Ok(Ok(())) => Failure::new(Exit::Failed, "the worker ended by itself"),
        Err(error) => Failure::new(Exit::Failed, format!("the worker ended abnormally: {error}")),
    }
}
