//! The list of tests of real parts, and the parts they share.
//!
//! libtest cannot say "not run" of a test that found its part absent, so these tests have a harness of their own: each is
//! an `async fn name(parts: &RealParts)`, named once in a [`cases!`](crate::cases) list with the parts it needs.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Completion, Failed, Trial};

use super::disk::SmallDisk;
use super::kafka::{JavaBroker, Kafka, java_is_there};
use super::postgres::Postgres;
use super::{Absent, required_part};

/// A part that a test may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// An Apache Kafka broker.
    Kafka,
    /// One with a listener for TLS and log-ins: the same, if it is a Java process, else another one beside it.
    SecuredKafka,
    /// What Kafka brokers as Java processes need: for tests that start brokers of their own.
    JavaKafka,
    /// A PostgreSQL server.
    Postgres,
    /// The right to mount a small disk.
    SmallDisk,
}

/// What a test of real parts is.
pub type Body = for<'a> fn(&'a RealParts) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A test by name.
#[derive(Clone, Copy)]
pub struct Case {
    /// `module::name`.
    pub name: &'static str,
    /// Without these it is not run.
    pub needs: &'static [Part],
    /// The test.
    pub body: Body,
}

/// Makes `CASES` of a module's tests: `cases! { name needs [Kafka, Postgres]; }`.
#[macro_export]
macro_rules! cases {
    ($($name:ident needs [$($part:ident),*];)*) => {
        /// The tests of this module.
        pub const CASES: &[$crate::support::parts::Case] = &[$(
            $crate::support::parts::Case {
                name: concat!(module_path!(), "::", stringify!($name)),
                needs: &[$($crate::support::parts::Part::$part),*],
                body: |parts| Box::pin($name(parts)),
            }
        ),*];
    };
}

/// The parts, each started once, when the first test asks for it; stopped when dropped.
#[derive(Default)]
pub struct RealParts {
    kafka: OnceLock<Result<Kafka, Absent>>,
    secured: OnceLock<Result<JavaBroker, Absent>>,
    postgres: OnceLock<Result<Postgres, Absent>>,
}

impl RealParts {
    /// The broker that all tests of this binary share; topics are each test's own.
    pub fn kafka(&self) -> &Kafka {
        self.kafka.get_or_init(Kafka::start).as_ref().unwrap_or_else(|why| panic!("kafka is absent: {why}"))
    }

    /// The broker with a listener for TLS and log-ins.
    pub fn secured_kafka(&self) -> &JavaBroker {
        self.secured_or_absent().unwrap_or_else(|why| panic!("kafka with TLS is absent: {why}"))
    }

    fn secured_or_absent(&self) -> Result<&JavaBroker, &Absent> {
        match self.kafka.get_or_init(Kafka::start).as_ref().ok().and_then(Kafka::as_java) {
            Some(broker) => Ok(broker),
            None => self.secured.get_or_init(Kafka::start_java).as_ref(),
        }
    }

    /// The server that all tests of this binary share; databases are each test's own.
    pub fn postgres(&self) -> &Postgres {
        self.postgres.get_or_init(Postgres::start).as_ref().unwrap_or_else(|why| panic!("postgres is absent: {why}"))
    }

    /// Starts what a case needs, all at the same time. `Err`: it is not to be run, and why.
    fn provide(&self, case: &Case) -> Result<(), String> {
        std::thread::scope(|scope| {
            for part in case.needs {
                scope.spawn(|| self.state_of(*part).is_ok());
            }
        });
        let name = short(case.name);
        case.needs
            .iter()
            .try_for_each(|part| required_part(name, &format!("{part:?}").to_lowercase(), self.state_of(*part)))
    }

    fn state_of(&self, part: Part) -> Result<(), Absent> {
        match part {
            Part::Kafka => self.kafka.get_or_init(Kafka::start).as_ref().map(drop).map_err(Clone::clone),
            Part::SecuredKafka => self.secured_or_absent().map(drop).map_err(Clone::clone),
            Part::JavaKafka => java_is_there(),
            Part::Postgres => self.postgres.get_or_init(Postgres::start).as_ref().map(drop).map_err(Clone::clone),
            Part::SmallDisk => SmallDisk::mount(1).map(drop),
        }
    }
}

/// The trial of a case.
pub fn trial(case: Case, parts: &Arc<RealParts>) -> Trial {
    let parts = Arc::clone(parts);
    Trial::ignorable_test(short(case.name), move || run(&case, &parts))
}

fn run(case: &Case, parts: &RealParts) -> Result<Completion, Failed> {
    if let Err(why) = parts.provide(case) {
        return Ok(Completion::ignored_with(why));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on((case.body)(parts));
    Ok(Completion::Completed)
}

/// Without the name of the test binary, as libtest shows it.
fn short(name: &'static str) -> &'static str {
    name.split_once("::").map_or(name, |(_, rest)| rest)
}
