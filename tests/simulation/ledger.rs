//! The ledger's port over the tables.

use std::collections::BTreeSet;

use async_trait::async_trait;
use profile_linker::domain::flow_control::FloodLimits;
use profile_linker::domain::{EventKey, Lane};
use profile_linker::ledger::{
    AcceptLane, Acceptance, Act, BackOffRow, Claim, ConvertedRow, EndedRow, EventSummary, Gathered, Gathering,
    IntakeOrders, LaneCorrection, LaneRow, Ledger, LedgerIdentity, NewRow, Note, NoteKind, Pause, PauseKind, Purge,
    Purged, Refused, Reopening, RowState, Serves, StartedRow, StoredRow, Unpublished,
};

use crate::mutations::Mutation;
use crate::process::wall_ms;
use crate::statement::{Answer, Work, WorldLedger};
use crate::tables::Tables;

pub const LEDGER_ID: [u8; 8] = [7; 8];

fn refused(claims: &[Claim], held: &BTreeSet<Lane>) -> Refused {
    claims.iter().map(|claim| claim.lane).filter(|lane| !held.contains(lane)).collect()
}

impl WorldLedger {
    /// A write that tells which of its lanes were refused.
    async fn written(&self, name: &'static str, claims: &[Claim], work: Work<Refused>) -> Answer<Refused> {
        let asked_at = self.process.world.now();
        let refused = self.write(name, claims, work).await?;
        self.process.world.lock().claims_are_answered(self.process.number, claims, &refused, asked_at);
        Ok(refused)
    }
}

#[async_trait]
impl Ledger for WorldLedger {
    async fn identity(&self) -> Answer<LedgerIdentity> {
        let adopted_at = self.process.world.lock().tables.adopted_at;
        Ok(LedgerIdentity { ledger_id: LEDGER_ID, sealed_hash_key: self.sealed_hash_key.clone(), adopted_at })
    }

    async fn bind(&self, _serves: &Serves) -> Answer<()> {
        Ok(())
    }

    fn slots(&self) -> usize {
        self.process.world.lock().plan.slots
    }

    async fn raise(&self, _owner: &str, lanes: &[Lane]) -> Answer<Vec<LaneRow>> {
        let (numbers, asked): (Vec<i32>, _) = (lanes.iter().map(|lane| lane.0).collect(), lanes.to_vec());
        {
            let mut state = self.process.world.lock();
            state.invariant_a_lane_is_taken_again_by_a_member_only(self.process.number, &numbers);
            state.forget_calls(self.process.number, lanes);
            state.invariant_a_lane_changes_hands_after_its_cycle(self.process.number, &numbers);
        }
        let asked_at = self.process.world.now();
        let work: Work<_> = Box::new(move |state, _| Ok(state.tables.raise(&asked)));
        let locks = numbers.iter().copied().collect();
        let mut rows = self.statement("raise", Vec::new(), locks, work).await?;
        self.process.world.lock().raise_is_answered(self.process.number, &numbers);
        self.process.world.pass(0, 3).await;
        let mut state = self.process.world.lock();
        for row in &mut rows {
            row.last_seq = row.saved_cursor.max(state.tables.last_number(row.claim.lane));
            row.clean |= state.is(Mutation::NoWaitForTheWire);
        }
        state.owe_looks_of_lanes(self.process.number, lanes);
        state.lanes_are_held(self.process.number, &rows, asked_at);
        state.has_yielded(self.process.number, &numbers);
        state.disturbed_at = state.now;
        Ok(rows)
    }

    async fn note_topic(&self, claims: &[Claim], topic_id: &str) -> Answer<Vec<(Lane, Option<i64>)>> {
        let noted = topic_id.to_owned();
        let work: Work<_> = Box::new(move |state, held| {
            let positions = state.tables.note_topic(held, &noted);
            let anew = positions.iter().filter(|(_, position)| position.is_none());
            state.broker.begins_anew.extend(anew.map(|(lane, _)| lane.0));
            Ok(positions)
        });
        let positions = self.write("note_topic", claims, work).await?;
        self.process.world.lock().lanes_are_of(self.process.number, &positions, topic_id);
        Ok(positions)
    }

    async fn unfinished(&self, claims: &[Claim], only: Option<&[EventKey]>) -> Answer<Vec<StoredRow>> {
        let (claims, only) = (claims.to_vec(), only.map(<[EventKey]>::to_vec));
        self.read("unfinished", move |tables, now| tables.unfinished(&claims, only.as_deref(), now)).await
    }

    async fn unpublished(&self, claims: &[(Claim, i64)]) -> Answer<Vec<Unpublished>> {
        let claims = claims.to_vec();
        self.read("unpublished", move |tables, _| tables.unpublished(&claims)).await
    }

    async fn accept(&self, lanes: &[AcceptLane], rows: &[NewRow]) -> Answer<Acceptance> {
        let claims: Vec<Claim> = lanes.iter().map(|lane| lane.claim).collect();
        self.process.world.lock().invariant_a_pause_takes_nothing_in(self.process.number, rows);
        let (lanes, new) = (lanes.to_vec(), rows.to_vec());
        let on_its_way = self.process.world.lock().acceptances.send(rows);
        let work: Work<_> = Box::new(move |state, held| {
            let _until_here = on_its_way;
            let inserted = state.tables.insert(held, &lanes, &new)?;
            state.mark_early(&new, inserted.keys().copied());
            state.invariant_what_may_have_been_sent_is_marked(&new, inserted.keys().copied());
            Ok((held.clone(), inserted))
        });
        let asked_at = self.process.world.now();
        let (held, inserted) = self.write("accept", &claims, work).await?;
        self.process.world.pass(0, 3).await;
        let mut state = self.process.world.lock();
        let mut acceptance = state.tables.classify(&claims, &held, rows, &inserted);
        crate::mutations::mistake(&state, &mut acceptance);
        state.claims_are_answered(self.process.number, &claims, &acceptance.refused, asked_at);
        state.forget_run(self.process.number);
        state.acceptance_is_heard(self.process.number, rows);
        Ok(acceptance)
    }

    async fn converted(&self, claims: &[Claim], rows: &[ConvertedRow]) -> Answer<Refused> {
        if self.is(Mutation::SkipWriteAhead) {
            return Ok(Refused::new());
        }
        let (asked, rows) = (claims.to_vec(), rows.to_vec());
        let work: Work<_> =
            Box::new(move |state, held| state.tables.convert(held, &rows).map(|()| refused(&asked, held)));
        self.written("converted", claims, work).await
    }

    async fn end(&self, claims: &[Claim], rows: &[EndedRow]) -> Answer<Refused> {
        let attempts = rows.iter().map(|row| (row.key, row.lane, row.attempts));
        self.process.world.lock().invariant_every_call_is_counted(self.process.number, claims, attempts);
        self.process.world.lock().invariant_a_live_token_is_not_said_to_be_dead(self.process.number, rows);
        let (asked, ended) = (claims.to_vec(), rows.to_vec());
        let work: Work<_> = Box::new(move |state, held| state.tables.end(held, &ended).map(|()| refused(&asked, held)));
        if self.is(Mutation::CursorBeforeDurable) {
            return self.end_unseen(claims, work).await;
        }
        let number = self.process.number;
        // A link's end is asked for before its lane is released; a token may still expire after that.
        let linked = if rows.iter().any(|row| row.state == RowState::Linked) { claims } else { &[] };
        self.process.world.lock().write_begins(number, linked);
        let refused = self.written("end", claims, work).await;
        let mut state = self.process.world.lock();
        state.write_ends(number, linked);
        let refused = refused?;
        state.ends_are_refused(number, rows, &refused);
        state.ends_are_told(number, rows, &refused);
        Ok(refused)
    }

    async fn back_off(&self, claims: &[Claim], rows: &[BackOffRow]) -> Answer<Refused> {
        self.process.world.lock().invariant_a_spent_budget_stays_spent(claims, rows);
        let (asked, rows) = (claims.to_vec(), rows.to_vec());
        let work: Work<_> = Box::new(move |state, held| {
            let now = state.now;
            state.tables.wait(held, &rows, now).map(|()| refused(&asked, held))
        });
        self.written("back_off", claims, work).await
    }

    async fn save_cursors(&self, cursors: &[(Claim, i64)]) -> Answer<Refused> {
        let claims: Vec<Claim> = cursors.iter().map(|(claim, _)| *claim).collect();
        let (asked, cursors) = (claims.clone(), cursors.to_vec());
        let work: Work<_> = Box::new(move |state, held| {
            let beyond = if state.is(Mutation::RemovesUnpublished) { 1 } else { 0 };
            state.tables.save_cursors(held, &cursors, beyond);
            Ok(refused(&asked, held))
        });
        self.written("save_cursors", &claims, work).await
    }

    async fn epochs(&self, lanes: &[Lane]) -> Answer<Vec<Claim>> {
        let lanes = lanes.to_vec();
        let asked_at = self.process.world.now();
        let epochs: Vec<Claim> = self
            .read("epochs", move |tables, _| {
                let claim = |lane: &Lane| tables.epoch(*lane).map(|epoch| Claim { lane: *lane, epoch });
                lanes.iter().filter_map(claim).collect()
            })
            .await?;
        self.process.world.lock().epochs_are_told(self.process.number, &epochs, asked_at);
        Ok(epochs)
    }

    async fn release(&self, lanes: &[(Claim, bool)]) -> Answer<Refused> {
        let claims: Vec<Claim> = lanes.iter().map(|(claim, _)| *claim).collect();
        self.process.world.lock().lanes_are_released(self.process.number, lanes);
        let (asked, lanes) = (claims.clone(), lanes.to_vec());
        let work: Work<_> = Box::new(move |state, held| {
            state.tables.release(held, &lanes);
            Ok(refused(&asked, held))
        });
        self.written("release", &claims, work).await
    }

    async fn adopt(&self, _serves: &Serves, _act: &Act) -> Answer<()> {
        self.process.boundary("adopt").await;
        self.process.world.lock().adopt();
        Ok(())
    }

    async fn gather(&self, gathering: &Gathering) -> Answer<Gathered> {
        let number = self.process.number;
        let lanes = (gathering.partitions..self.process.world.lock().plan.partitions).chain([gathering.into.lane.0]);
        let (asked, claims) = (gathering.clone(), vec![gathering.into]);
        let work: Work<_> = Box::new(move |state, held| {
            let (gathered, moved) = state.tables.gather(held, &asked);
            state.rows_are_gathered(number, &moved);
            Ok(gathered)
        });
        let answer = self.statement("gather", claims, lanes.collect(), work).await;
        self.process.world.lock().lane_has_gathered(number, gathering.into, answer.as_ref().ok());
        answer
    }

    async fn correct_lanes(&self, corrections: &[LaneCorrection]) -> Answer<Refused> {
        let claims: Vec<Claim> = corrections.iter().map(|correction| correction.claim).collect();
        let (asked, corrections) = (claims.clone(), corrections.to_vec());
        let work: Work<_> = Box::new(move |state, held| {
            let marks = !state.is(Mutation::RestoredRowsAreTrusted);
            state.tables.correct(held, &corrections, marks);
            Ok(refused(&asked, held))
        });
        self.written("correct_lanes", &claims, work).await
    }

    async fn started(&self, claims: &[Claim], rows: &[StartedRow]) -> Answer<Refused> {
        self.process.world.lock().invariant_a_start_is_counted(claims, rows);
        let (asked, rows) = (claims.to_vec(), rows.to_vec());
        let work: Work<_> = Box::new(move |state, held| {
            state.tables.start(held, &rows);
            Ok(refused(&asked, held))
        });
        self.written("started", claims, work).await
    }

    async fn leave_notes(&self, notes: &[(EventKey, NoteKind)]) -> Answer<()> {
        let left = notes.to_vec();
        let work: Work<_> = Box::new(move |state, _| {
            state.tables.leave_notes(&left);
            Ok(())
        });
        self.statement("leave_notes", Vec::new(), BTreeSet::new(), work).await?;
        self.process.world.lock().notes_are_left(self.process.number, notes);
        Ok(())
    }

    async fn notes(&self, claims: &[Claim]) -> Answer<Vec<Note>> {
        let claims = claims.to_vec();
        self.read("notes", move |tables, _| tables.notes(&claims)).await
    }

    async fn remove_notes(&self, claims: &[Claim], numbers: &[i64]) -> Answer<Refused> {
        self.process.world.lock().notes_are_acted_on(self.process.number, numbers);
        let (asked, numbers) = (claims.to_vec(), numbers.to_vec());
        let work: Work<_> = Box::new(move |state, held| {
            state.tables.remove_notes(held, &numbers);
            Ok(refused(&asked, held))
        });
        self.written("remove_notes", claims, work).await
    }

    async fn reopen(&self, _rows: &[Reopening], _act: &Act) -> Answer<Vec<EventKey>> {
        // Operators do this, not workers: see `history::replay`.
        Ok(Vec::new())
    }

    async fn pause(&self, kind: PauseKind, act: &Act) -> Answer<()> {
        self.process.world.lock().pause_is_known(self.process.number, true);
        let act = act.clone();
        let work: Work<_> = Box::new(move |state, _| {
            state.tables.pause(kind, &act);
            Ok(())
        });
        self.statement("pause", Vec::new(), BTreeSet::new(), work).await
    }

    async fn resume(&self, kind: Option<PauseKind>, _: FloodLimits, _act: &Act) -> Answer<Vec<PauseKind>> {
        let work: Work<_> = Box::new(move |state, _| Ok(state.tables.resume(kind)));
        self.statement("resume", Vec::new(), BTreeSet::new(), work).await
    }

    async fn intake(&self) -> Answer<IntakeOrders> {
        let read = |tables: &Tables, now| (tables.pauses.values().cloned().collect(), wall_ms(now));
        let (pauses, at): (Vec<Pause>, i64) = self.read("pauses", read).await?;
        self.process.world.lock().pause_is_known(self.process.number, !pauses.is_empty());
        let by_wall_clock = self.is(Mutation::TimeByTheWallClock);
        let at = if by_wall_clock { self.process.wall_ms(self.process.world.now()) } else { at };
        Ok(IntakeOrders { pauses, limits: None, at })
    }

    async fn purge(&self, purge: &Purge) -> Answer<Purged> {
        // A history is too short for what a worker removes; see `purging`.
        let purge = purge.clone();
        let work: Work<_> = Box::new(move |state, _| Ok(state.tables.purge(&purge, false, |_| false)));
        self.statement("purge", Vec::new(), BTreeSet::new(), work).await
    }

    async fn find(&self, _event_id: &str) -> Answer<Vec<EventSummary>> {
        Ok(Vec::new())
    }

    async fn row(&self, key: EventKey) -> Answer<Option<StoredRow>> {
        Ok(self.process.world.lock().tables.rows.get(&key).map(|row| row.stored.clone()))
    }
}
