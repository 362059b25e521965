//! What keeps an upstream's trouble, and a flood of poison, from becoming the events': circuit breaker, adaptive limit of
//! calls in flight, flood guard. Each is told what happened and when; none reads a clock.

mod breaker;
mod flood_guard;
mod limit;
mod window;

pub use breaker::{Breaker, BreakerRules, Change, Permit, Trouble, Verdict};
pub use flood_guard::{FloodGuard, FloodLimits, FloodRules};
pub use limit::Limit;
