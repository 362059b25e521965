//! Time-outs under `[kafka.properties]` that must fit each other, as the documents of Kafka and librdkafka ask.

use super::error::Problem;
use super::reading::Reading;

/// Ours; a time-out that the operator leaves alone fits.
const TRANSACTION_MS: i64 = crate::kafka::transactional::TRANSACTION_TIMEOUT.as_millis() as i64;
/// What an operator may make of it, in milliseconds.
const TRANSACTION_RANGE: std::ops::RangeInclusive<i64> = 5_000..=30_000;
/// The shortest time in which a partition is surely given up: calls on the wire (12 s), their writes, and the cycle that is
/// out. The group waits for it as long as `max.poll.interval.ms`.
const LEAVE_MS: i64 = 60_000;

/// A property, what counts where it is not set, and its other name.
struct Property {
    name: &'static str,
    default: i64,
    alias: Option<&'static str>,
}

const SESSION: Property = property("session.timeout.ms", 45_000);
const HEARTBEAT: Property = property("heartbeat.interval.ms", 3_000);
const POLL: Property = property("max.poll.interval.ms", 300_000);
const LINGER: Property = Property { name: "linger.ms", default: 0, alias: Some("queue.buffering.max.ms") };
const REQUEST: Property = property("request.timeout.ms", 5_000);
const DELIVERY: Property =
    Property { name: "message.timeout.ms", default: TRANSACTION_MS, alias: Some("delivery.timeout.ms") };
const SOCKET: Property = property("socket.timeout.ms", TRANSACTION_MS - 100);
const FETCH: Property = property("fetch.wait.max.ms", 100);
const TRANSACTION: Property = property("transaction.timeout.ms", TRANSACTION_MS);

const fn property(name: &'static str, default: i64) -> Property {
    Property { name, default, alias: None }
}

/// All of them.
pub(super) fn check(reading: &Reading, problems: &mut Vec<Problem>) {
    let at_least = [
        (&POLL, 1, &SESSION, 0, "a member that is alive must not be counted as stuck"),
        (&SOCKET, 1, &FETCH, 1_000, "a fetch that waits must not look like a dead connection"),
        (&DELIVERY, 1, &LINGER, REQUEST.of(reading), "a record must have the time for one request"),
    ];
    for (longer, times, shorter, more, why) in at_least {
        let needed = shorter.of(reading) * times + more;
        let told =
            [longer, shorter].iter().any(|one| one.is_set(reading)) || (more != 1_000 && REQUEST.is_set(reading));
        if longer.of(reading) < needed && told {
            problems.push(longer.problem(reading, shorter, format!("must be at least {needed}: {why}")));
        }
    }
    // Only where it was set: a heartbeat of ours follows the session.
    if HEARTBEAT.is_set(reading) && HEARTBEAT.of(reading) >= SESSION.of(reading) {
        let why = "a member is counted as dead that misses its heartbeats for a session";
        problems.push(HEARTBEAT.problem(reading, &SESSION, format!("must be below {}: {why}", SESSION.of(reading))));
    }
    check_ours(reading, problems);
}

/// Against the times that are ours.
fn check_ours(reading: &Reading, problems: &mut Vec<Problem>) {
    if POLL.of(reading) < LEAVE_MS {
        let why = "the group must wait until a partition is given up";
        problems.push(POLL.problem(reading, &POLL, format!("must be at least {LEAVE_MS}: {why}")));
    }
    if !reading.text("kafka.delivery").is_ok_and(|delivery| delivery == "transactional") {
        return;
    }
    let transaction = TRANSACTION.of(reading);
    if !TRANSACTION_RANGE.contains(&transaction) {
        let (least, most) = (TRANSACTION_RANGE.start(), TRANSACTION_RANGE.end());
        let why = "a request must fit into it, and a successor waits so long for a dead worker's";
        problems.push(TRANSACTION.problem(reading, &TRANSACTION, format!("must be {least} to {most}: {why}")));
    }
    for property in [DELIVERY, SOCKET] {
        // Where they are not set the client keeps them within the transaction's.
        if property.is_set(reading) && property.of(reading) > transaction {
            let why = "nothing may be sent after its transaction's end";
            problems.push(property.problem(reading, &property, format!("must be at most {transaction}: {why}")));
        }
    }
}

impl Property {
    /// The name under which it is set.
    fn set_as(&self, reading: &Reading) -> Option<&'static str> {
        [Some(self.name), self.alias].into_iter().flatten().find(|name| reading.properties.contains_key(*name))
    }

    fn is_set(&self, reading: &Reading) -> bool {
        self.set_as(reading).is_some()
    }

    /// In milliseconds; librdkafka has checked that it is a number.
    fn of(&self, reading: &Reading) -> i64 {
        let set = self.set_as(reading).and_then(|name| reading.properties.get(name));
        set.and_then(|setting| setting.value.parse::<f64>().ok()).map_or(self.default, |number| number.ceil() as i64)
    }

    /// Told of the one of the two that is set.
    fn problem(&self, reading: &Reading, other: &Self, message: String) -> Problem {
        let set = self.set_as(reading).map(|name| (name, message.clone()));
        let of_other = || {
            let name = other.set_as(reading)?;
            Some((name, format!("is too long: {} {message}", self.name)))
        };
        let (name, message) = set.or_else(of_other).unwrap_or((self.name, message));
        match reading.properties.get(name) {
            Some(setting) => Problem::at(&format!("kafka.properties.{name}"), &setting.origin, message)
                .showing(format!("{:?}", setting.value)),
            None => Problem::missing(&format!("kafka.properties.{name}"), message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(properties: &[(&str, &str)]) -> Vec<String> {
        let variable =
            |name: &str| format!("PROFILE_LINKER_KAFKA__PROPERTIES__{}", name.to_uppercase().replace('.', "__"));
        let environment = properties.iter().map(|(name, value)| (variable(name).into(), (*value).into()));
        let reading = Reading::new(None, environment.collect::<Vec<_>>(), Vec::new());
        let mut problems = reading.problems.clone();
        check(&reading, &mut problems);
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn what_nobody_set_fits() {
        assert_eq!(problems(&[]), [] as [&str; 0]);
    }

    #[test]
    fn time_outs_that_do_not_fit_each_other_are_refused() {
        for (name, value) in [
            ("heartbeat.interval.ms", "50000"),
            ("session.timeout.ms", "400000"),
            ("max.poll.interval.ms", "50000"),
            ("fetch.wait.max.ms", "20000"),
            ("linger.ms", "6000"),
            ("request.timeout.ms", "11000"),
            ("message.timeout.ms", "1000"),
            ("delivery.timeout.ms", "60000"),
            ("socket.timeout.ms", "60000"),
            ("transaction.timeout.ms", "60000"),
        ] {
            assert!(!problems(&[(name, value)]).is_empty(), "{name} = {value}");
        }
    }

    #[test]
    fn time_outs_that_fit_are_taken() {
        let fit =
            [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "1000"), ("max.poll.interval.ms", "60000")];
        assert_eq!(problems(&fit), [] as [&str; 0]);
        // A heartbeat that nobody set follows the session.
        for fit in [("session.timeout.ms", "6000"), ("session.timeout.ms", "1500"), ("transaction.timeout.ms", "5000")]
        {
            assert_eq!(problems(&[fit]), [] as [&str; 0]);
        }
    }
}
