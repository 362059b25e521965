//! The command line as its users see it: the real binary, its exit codes, and what it prints.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must fail, also in what it stands on")]

#[path = "cli/acting.rs"]
mod acting;
#[path = "cli/admin.rs"]
mod admin;
#[path = "cli/artefacts.rs"]
mod artefacts;
#[path = "cli/audits.rs"]
mod audits;
#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/beside_dev.rs"]
mod beside_dev;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/configuration.rs"]
mod configuration;
#[path = "cli/damage.rs"]
mod damage;
#[path = "cli/dead_letters.rs"]
mod dead_letters;
#[path = "cli/deploying.rs"]
mod deploying;
#[path = "cli/edited_letters.rs"]
mod edited_letters;
#[path = "cli/editing.rs"]
mod editing;
#[path = "cli/examples.rs"]
mod examples;
#[path = "cli/from_topic.rs"]
mod from_topic;
#[path = "cli/letters.rs"]
mod letters;
#[path = "cli/manners.rs"]
mod manners;
#[path = "support/patience.rs"]
#[expect(dead_code, reason = "it is shared; not all of it is used here")]
mod patience;
#[path = "cli/publishing.rs"]
mod publishing;
#[path = "cli/questions.rs"]
mod questions;
#[path = "cli/reference.rs"]
mod reference;
#[path = "cli/running.rs"]
mod running;
#[path = "cli/topic_replays.rs"]
mod topic_replays;
#[path = "cli/tutorial.rs"]
mod tutorial;
#[path = "cli/watching.rs"]
mod watching;
