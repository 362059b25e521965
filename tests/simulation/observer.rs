//! Listens to the worker's own traces: they tell the state machine's steps, and on a replay what the worker says.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Once};

use profile_linker::domain::EventKey;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::world::World;

thread_local! {
    /// The world whose history this thread lives through.
    static WATCHED: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

static INSTALLED: Once = Once::new();

/// Once a process; every thread listens for its own world.
pub fn install() {
    INSTALLED.call_once(|| {
        // Nobody else installs one here.
        let _ = tracing::subscriber::set_global_default(Observer);
    });
}

/// Listens for this world from now on, on this thread.
pub fn watch(world: Option<Arc<World>>) {
    WATCHED.set(world);
}

struct Observer;

#[derive(Default)]
struct Fields {
    from: String,
    to: String,
    key: Option<EventKey>,
    text: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let start = self.text.len();
        // Writing to a text cannot fail.
        let _ = write!(self.text, "{}={value:?} ", field.name());
        if field.name() == "event.key" {
            let digits = self.text[start..].trim_start_matches("event.key=").trim_end();
            self.key = data_encoding::HEXLOWER.decode(digits.as_bytes()).ok().map(|key| EventKey::from_digest(&key));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "from" => value.clone_into(&mut self.from),
            "to" => value.clone_into(&mut self.to),
            name => drop(write!(self.text, "{name}={value} ")),
        }
    }
}

impl Subscriber for Observer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("profile_linker::worker")
    }

    fn new_span(&self, _attributes: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        WATCHED.with_borrow(|world| {
            let Some(world) = world else { return };
            let stepped = *event.metadata().level() == Level::TRACE;
            let mut state = world.lock();
            if !stepped && !state.trace.is_recorded() {
                return;
            }
            let mut fields = Fields::default();
            event.record(&mut fields);
            if stepped {
                if let Some(key) = fields.key.filter(|_| fields.to == "Ending") {
                    state.end_is_decided(key);
                }
                let edge = (fields.from.clone(), fields.to.clone());
                *state.coverage.edges.entry(edge).or_default() += 1;
                state.say(|| format!("{}{} -> {}", fields.text, fields.from, fields.to));
            } else {
                // Not part of the fingerprint: names of processes are random.
                state.remark(&format!("{}{}", event.metadata().level(), fields.text));
            }
        });
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}
