//! profile-linker: turns "a customer just typed in a bank account or card" into "that payment profile can be charged".
//!
//! A `ProfileCreated` event comes in from Kafka with a temporary token. The token is converted into a permanent one
//! (PayIQ), the profile is linked to a customer where it will be charged (LoanPro, Aloha), and one `ProfileLinked` or
//! `ProfileRejected` goes out. What follows is the architecture; `docs/architecture.md` says why it is so.
//!
//! # The picture
//!
//! **Kafka's position says what the ledger has accepted; the ledger says what is unfinished; a cursor in Kafka's own commit
//! says what has been published.** Each fact has one home, so there is nothing to reconcile after a crash.
//!
//! ```text
//!  Kafka            worker                                    ledger                vendors
//!
//!  created  ------> intake: decode, check, seal
//!                   scribe: accept a batch  ----------------> input, sealed record
//!                   running: step the machine, call  ----------------------------> convert (PayIQ)
//!                   scribe: converted  ---------------------> sealed token
//!                   running: in the customer's order  --- gate ------------------> link, look up
//!                   scribe: end  ---------------------------> outbox, secrets erased
//!  linked   <--+
//!  rejected <--+--  publishing: results + position + cursor,
//!  dlq      <--+    one cycle, one transaction
//!                   heartbeat: save the cursor  ------------> outbox rows removed
//! ```
//!
//! # Words
//!
//! - *event*: a `ProfileCreated`, known by `source` and `id`; the same pair again is a duplicate.
//! - *lane*: an input partition as the ledger sees it: owner, epoch, accepted position, saved cursor. One worker owns a
//!   lane; whoever takes it raises its *epoch*, and writes under a lower one are refused.
//! - *claim*: lane and epoch together. Every event, call and write carries the claim under which it was begun; what comes
//!   back under another is dropped.
//! - *publish_seq*: the number of a result within its lane, given in the order in which ends are written. The *cursor* is the
//!   highest one published.
//! - *cycle*: results of many lanes, with their positions and cursors, published as one.
//!
//! # How an event goes
//!
//! 1. **Accept.** A fetched batch is decoded, checked by the schemas, sealed, and becomes one write. Only after it may
//!    Kafka's position pass these records. What can never be worked on (unreadable, invalid) ends in that same write.
//! 2. **Convert.** The row says that a conversion may be out before one is. The permanent token is written down, sealed:
//!    that row is the intent to link.
//! 3. **Link**, when the customer's earlier events have ended. In the last step before the bytes leave, the *gate* asks
//!    whether the ledger confirmed the claim a moment ago. LoanPro's answer names no profile, so the link is read back. An
//!    outcome that nobody saw is looked up, after a time to settle, before anything is sent again.
//! 4. **End.** The result's bytes go into the outbox in the write that ends the row and erases its secrets.
//! 5. **Publish.** A cycle takes the outbox up to some number; the number travels in the commit's metadata. A successor
//!    reads it and goes on behind it.
//! 6. **Remove.** Weeks later (`[ledger] retention`) the row goes, with all that is its.
//!
//! A crash between any two of these leaves a row that says how far it may have got. Whoever resumes such a row treats the
//! step that it had entered as one whose outcome was not seen.
//!
//! # Who may do what
//!
//! The rules are absences, and worth more than the diagrams: [`domain`] does no I/O, reads no clock and draws no random
//! number. The worker's dispatcher, one task that owns all state in memory, waits for nothing but its next message. Nothing
//! but a scribe writes an event's progress. No HTTP library repeats a call. Nothing but the vault sees a token that goes to
//! disk. A trait stands only at a seam, where something else is really put; the worker's are [`kafka::Source`],
//! [`kafka::Publisher`], [`ledger::Ledger`], [`upstream::Converter`], [`upstream::LinkTarget`] and [`clock::Clock`].
//!
//! # The modules, in reading order
//!
//! Data flows downward through this list once, and a module knows only those above it; [`contract`] alone speaks of the
//! identities and reasons of its neighbour, [`domain`].
//!
//! | module | what it decides |
//! |---|---|
//! | [`contract`] | what an event is: CloudEvents, schemas, results, dead letters, what may be quoted |
//! | [`domain`] | what happens to an event: identities, the state machine, failure classes, the retry policy |
//! | [`config`] | what is set, and what is allowed |
//! | [`upstream`] | what a vendor's answer means: done, not applied, unknown, refused, or our own mistake |
//! | [`ledger`] | what is durable, and who may write it; PostgreSQL and SQLite behind one port |
//! | [`pulse`] | whether a loop goes on: what `/healthz` asks |
//! | [`metrics`] | what dashboards count |
//! | [`traces`] | spans for those who follow one event |
//! | [`kafka`] | what is fetched and published; positions with their cursor |
//! | [`clock`] | what time it is, and chance |
//! | [`conditions`] | how the parts are that a worker stands on: what `/readyz` tells |
//! | [`worker`] | when: the shell that drives the domain, start with its `dispatcher` |
//! | [`dead_letters`] | what is replayed, in which steps, and when to stop |
//! | [`admin`] | what people see of a running worker, and what they may tell it, over HTTP |
//! | [`sandbox`] | the vendors, played; shares no code with [`upstream`] |
//! | [`cli`] | the commands, one file each; exit codes |

// rustfmt sorts neighbours, so a blank line keeps each in its place.

pub mod contract;

pub mod domain;

pub mod config;

pub mod upstream;

pub mod ledger;

pub mod pulse;

pub mod metrics;

pub mod traces;

pub mod kafka;

pub mod clock;

pub mod conditions;

pub mod worker;

pub mod dead_letters;

pub mod admin;

pub mod sandbox;

pub mod cli;
