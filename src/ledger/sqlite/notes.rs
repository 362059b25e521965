//! Notes: what is left for whoever owns an event's lane.

use super::session::File;
use crate::domain::EventKey;
use crate::ledger::batch::refused;
use crate::ledger::{Claim, LedgerError, NOTES_AT_ONCE, Note, NoteKind, Refused, decode};

const LEAVE: &str = "INSERT INTO note (key, kind) SELECT key, ?2 FROM event WHERE key = ?1";
/// [`NOTES_AT_ONCE`] of each lane.
const NOTES: &str = "
SELECT n.number, e.lane, n.key, n.kind
FROM note n JOIN event e ON e.key = n.key JOIN lane l ON l.lane = e.lane
WHERE l.lane = ? AND l.epoch = ?
ORDER BY n.kind, n.number
LIMIT 1000";
const REMOVE: &str = "
DELETE FROM note WHERE number = ?1 AND EXISTS (SELECT 1 FROM event e WHERE e.key = note.key AND e.lane = ?2)";

pub(super) async fn leave(file: &File, notes: &[(EventKey, NoteKind)]) -> Result<(), LedgerError> {
    let mut work = file.write().await?;
    for (key, kind) in notes {
        work.run(sqlx::query(LEAVE).bind(key.0.as_slice()).bind(kind.code())).await?;
    }
    work.commit().await
}

pub(super) async fn notes(file: &File, claims: &[Claim]) -> Result<Vec<Note>, LedgerError> {
    let mut work = file.read().await?;
    let mut found = Vec::new();
    for claim in claims {
        found.extend(work.rows(sqlx::query(NOTES).bind(claim.lane.0).bind(claim.epoch.0)).await?);
    }
    work.done();
    let mut notes: Vec<_> = found.iter().map(decode::note).collect::<Result<_, _>>()?;
    notes.sort_by_key(|note| (note.kind.code(), note.number));
    notes.truncate(NOTES_AT_ONCE);
    Ok(notes)
}

pub(super) async fn remove(file: &File, claims: &[Claim], numbers: &[i64]) -> Result<Refused, LedgerError> {
    let mut work = file.write().await?;
    let held = work.held(claims.iter().copied()).await?;
    for lane in &held {
        for number in numbers {
            work.run(sqlx::query(REMOVE).bind(*number).bind(lane.0)).await?;
        }
    }
    work.commit().await?;
    Ok(refused(claims, &held))
}
