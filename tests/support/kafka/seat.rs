//! A Java broker's place in its cluster: number, ports, and the properties that follow from them.

use std::path::Path;
use std::time::Duration;

use super::doors::Doors;
use crate::support::ports::free_ports;

/// Ports of one broker.
const PORTS: usize = 5;
/// Three are the fewest of which one may be lost; each is a Java process of some 400 MB.
const MOST: usize = 3;

/// Where a broker is.
#[derive(Debug, Clone, Copy)]
pub struct Seat {
    /// Its number, from 1.
    pub id: i32,
    /// Of its plain listener.
    pub plain: u16,
    /// Of its listener with TLS and a log-in.
    pub secured: u16,
    /// Of its controller.
    pub controller: u16,
    /// Of its plain listener behind a detour.
    pub behind: u16,
    /// Where that one is said to be: whoever comes by it is led to a place of the test's own, which may lead on.
    pub detour: u16,
    /// For so long its controller misses its heartbeat before it takes the leadership of all partitions from it. A frozen broker's
    /// controller is frozen, too; when both go on, one cluster of one broker has partitions without a leader for a moment.
    pub session: Duration,
}

/// Kafka's own default.
const SESSION: Duration = Duration::from_secs(9);

/// The places of so many brokers of one cluster.
pub fn seats(size: usize) -> Vec<Seat> {
    let ports: [u16; PORTS * MOST] = free_ports();
    let seat = |(id, ports): (i32, &[u16; PORTS])| {
        let [plain, secured, controller, behind, detour] = *ports;
        Seat { id, plain, secured, controller, behind, detour, session: SESSION }
    };
    let (of_each, _) = ports.as_chunks::<PORTS>();
    (1..).zip(of_each).take(size).map(seat).collect()
}

impl Seat {
    /// The broker's properties file.
    pub fn properties(&self, all: &[Self], folder: &Path, doors: &Doors) -> String {
        let Self { id, plain, controller, behind, detour, session, .. } = self;
        let voters: Vec<String> = all.iter().map(|seat| format!("{}@127.0.0.1:{}", seat.id, seat.controller)).collect();
        format!(
            "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{plain},{secured},BEHIND://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},{secured},BEHIND://127.0.0.1:{detour}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,BEHIND:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
broker.session.timeout.ms={session}
log.dirs={data}
{SETTINGS}{copies}{doors}",
            voters = voters.join(","),
            session = session.as_millis(),
            data = folder.join("data").display(),
            secured = doors.listener(),
            copies = if all.len() == 1 { ALONE } else { OF_THREE },
            doors = doors.settings(),
        )
    }
}

/// A group may miss a dead member soon, and a dead producer's transaction is looked for often: both make tests that kill
/// workers shorter.
const SETTINGS: &str = "group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
auto.create.topics.enable=false
";

/// What one broker alone needs, and small internal topics, which start faster.
const ALONE: &str = "offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
";

/// As a cluster is run: of three copies two must have a record. One partition of each internal topic, so that its leader
/// is the coordinator, whatever the group's and the transaction's names are.
const OF_THREE: &str = "default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=1
";
