//! A result that the broker refused waits, and is then tried alone: what follows it in its lane does not pass it, and what
//! is of other lanes does not wait for it.

use std::collections::BTreeMap;
use std::time::Duration;

use profile_linker::contract::OutgoingRecord;
use serde_json::Value;

use crate::world::State;

/// It is not tried again before.
const PAUSE: Duration = Duration::from_secs(1);

/// What was refused last of each lane, by the process that heard of it.
#[derive(Default)]
pub struct Refusals(BTreeMap<(u32, i32), Refused>);

struct Refused {
    /// The ids of all of its records.
    ids: Vec<String>,
    since: Duration,
}

fn id_of(record: &OutgoingRecord) -> String {
    let body: Value = serde_json::from_slice(&record.value).unwrap_or_default();
    body["id"].as_str().unwrap_or_default().to_owned()
}

impl State {
    /// The broker refuses this record, and says so.
    pub fn is_refused(&mut self, number: u32, record: &OutgoingRecord) {
        let id = id_of(record);
        let place = self.tables.numbered.iter().find(|(_, ids)| ids.contains(&id));
        let Some(((lane, _), ids)) = place.filter(|_| !self.restoring.happened()) else { return };
        let refused = Refused { ids: ids.clone(), since: self.now };
        self.refusals.0.insert((number, *lane), refused);
    }

    /// A process knows nothing any more of what was refused in these lanes.
    pub fn forget_refusals(&mut self, number: u32, lanes: &[i32]) {
        self.refusals.0.retain(|(of, lane), _| *of != number || !lanes.contains(lane));
    }

    /// A cycle goes out.
    pub fn invariant_a_refused_result_is_tried_alone(&mut self, number: u32, records: &[OutgoingRecord]) {
        if self.refusals.0.is_empty() {
            return;
        }
        let ids: Vec<String> = records.iter().map(id_of).collect();
        let is_in = |refused: &Refused| ids.iter().any(|id| refused.ids.contains(id));
        let mut own = self.refusals.0.iter().filter(|((of, _), _)| *of == number).map(|(_, refused)| refused);
        let Some(refused) = own.find(|refused| is_in(refused)) else { return };
        let alone = ids.iter().all(|id| refused.ids.contains(id));
        if !alone || refused.since + PAUSE > self.now {
            let detail = format!("{number} tries {:?} again with {} records", refused.ids, ids.len());
            self.violated("a_refused_result_is_tried_alone", detail);
        }
    }
}
