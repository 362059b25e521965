//! Brokers that die, freeze or cannot be reached, while a reader outside counts every result.

mod census;
pub mod clusters;
pub mod cuts;
pub mod freezes;
mod load;
pub mod restarts;
