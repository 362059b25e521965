//! The vendors, played: PayIQ, LoanPro, Aloha and Secure Payments with behaviour and state over real HTTP (contract,
//! section 7). What users try the product with and what tests assert on, so it is written from the vendors' documents
//! alone and shares no code with [`crate::upstream`].
//!
//! Its shape: [`server`] owns the connections, [`stage`] plays one call under one lock (with the [`faults`] set at run
//! time), the vendors' modules decide each answer as plain functions over [`books`], what was really done. All money,
//! tokens and people in here are made up.

pub mod aloha;
pub mod answer;
pub mod books;
pub mod calls;
pub mod control;
pub mod credentials;
pub mod faults;
pub mod loanpro;
pub mod payiq;
pub mod secure_payments;
pub mod server;
pub mod stage;
pub mod story;
pub mod tokens;

use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use books::{Books, Moment, shelf};

pub use credentials::StrictCredentials;
pub use stage::Stage;
pub use story::{STORY, STORY_ADDRESS};
pub use tokens::{Outcome, TokenRequest};

/// How a sandbox is started.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The right credentials. `None`: any are accepted, but they must be there.
    pub strict: Option<StrictCredentials>,
    /// File in which the books are kept across runs. `None`: in memory only.
    pub books: Option<PathBuf>,
}

/// Why a sandbox could not be started or its books not be kept.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The books' file could not be read or written.
    #[error("cannot keep the sandbox's books in {}", path.display())]
    Books {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The books' file is not one of ours.
    #[error("{} does not hold a sandbox's books", path.display())]
    ForeignBooks {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// A running sandbox. Dropping it ends its connections too, but only [`Running::stop`] waits and keeps the last books.
pub struct Running {
    address: SocketAddr,
    stage: Stage,
    books: Option<PathBuf>,
    tasks: Vec<JoinHandle<()>>,
    stopping: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// Starts a sandbox: it accepts calls when this returns.
///
/// # Errors
/// The address cannot be listened on, or the books' file cannot be read.
pub async fn start(options: SandboxOptions) -> Result<Running, SandboxError> {
    let books = match &options.books {
        Some(path) => shelf::read(path)?,
        None => Books::default(),
    };
    let stage = Stage::new(books, options.strict.unwrap_or_default());
    let failed = |source| SandboxError::Listen { address: options.listen, source };
    let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let stopping = CancellationToken::new();
    let mut tasks = vec![tokio::spawn(server::serve(listener, stage.clone(), stopping.clone()))];
    if let Some(path) = options.books.clone() {
        tasks.push(tokio::spawn(shelf::keep(stage.clone(), path, stopping.clone())));
    }
    let stop_on_drop = stopping.clone().drop_guard();
    Ok(Running { address, stage, books: options.books, tasks, stopping, _stop_on_drop: stop_on_drop })
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://host:port/`; the vendors are below it (`payiq/`, `loanpro/`, `aloha/`, `secure-payments/`).
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Tokenises an account as the hosted form would, and gives its token.
    #[must_use]
    pub fn tokenise(&self, request: TokenRequest) -> String {
        tokens::issue(&mut self.stage.world().books, &request, Moment::now())
    }

    /// Makes a LoanPro customer and gives its id.
    #[must_use]
    pub fn create_loanpro_customer(&self, first_name: &str, last_name: &str) -> i64 {
        self.stage.world().books.add_customer(first_name, last_name)
    }

    /// Makes an Aloha customer and gives its id.
    #[must_use]
    pub fn create_aloha_customer(&self) -> Uuid {
        self.stage.world().books.add_aloha_customer()
    }

    /// Ends: no new connections, one second for the calls on the wire, then the books are kept.
    ///
    /// # Errors
    /// The books' file cannot be written.
    pub async fn stop(mut self) -> Result<(), SandboxError> {
        self.stopping.cancel();
        for task in self.tasks.drain(..) {
            // A task ends by panic only; its panic is already on stderr and the books are still written below.
            drop(task.await);
        }
        match self.books.take() {
            Some(path) => shelf::write(&path, &shelf::pages(&self.stage)).await,
            None => Ok(()),
        }
    }
}
