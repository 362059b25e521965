//! What `check` asks of a ledger beyond its identity; changes nothing.

use sqlx::postgres::PgConnectOptions;

use super::session::{self, Statement};
use crate::ledger::decode::Columns;
use crate::ledger::{LedgerError, LedgerProbe, Serves};

const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms";
const SERVED: &str = "SELECT cluster_id, consumer_group, topic FROM ledger";

pub(in crate::ledger) async fn probe(options: &PgConnectOptions) -> Result<LedgerProbe, LedgerError> {
    let mut connection = session::connect(&session::options(options)).await?;
    // The first question pays for what a connection prepares, the second one is quick: the clock is read in that.
    let rows = Statement::new(SERVED).rows(&mut connection).await?;
    let mut serves = None;
    if let Some(row) = rows.first() {
        let texts =
            (row.optional_text("cluster_id")?, row.optional_text("consumer_group")?, row.optional_text("topic")?);
        if let (Some(cluster_id), Some(group), Some(topic)) = texts {
            serves = Some(Serves { cluster_id, group, topic });
        }
    }
    let before = jiff::Timestamp::now();
    let rows = Statement::new(CLOCK).rows(&mut connection).await?;
    let after = jiff::Timestamp::now();
    let now_ms = rows.first().map(|row| row.int("now_ms")).transpose()?;
    Ok(LedgerProbe { serves, clock: now_ms.map(|now_ms| (before, now_ms, after)) })
}
