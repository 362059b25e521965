//! Dead letters a page at a time, the first accepted first.

use super::View;
use crate::cli::exit::Failure;
use crate::ledger::{DeadLetter, DeadLetterFilter, DeadLetterPlace};

/// Those that a filter chooses, up to a limit.
pub struct Pages<'a> {
    desk: &'a View,
    filter: DeadLetterFilter,
    after: Option<DeadLetterPlace>,
    left: usize,
    /// Read at once.
    size: usize,
}

impl<'a> Pages<'a> {
    /// Begins with the first; `limit`: so many at most.
    pub fn of(desk: &'a View, filter: DeadLetterFilter, limit: Option<usize>, size: usize) -> Self {
        Self { desk, filter, after: None, left: limit.unwrap_or(usize::MAX), size }
    }

    /// The next ones; empty: there are no more. One that is not full is the last, and nothing is asked after it.
    ///
    /// # Errors
    /// The ledger is unreachable (69).
    pub async fn next(&mut self) -> Result<Vec<DeadLetter>, Failure> {
        let asked = self.left.min(self.size);
        if asked == 0 {
            return Ok(Vec::new());
        }
        let page = self.desk.letters.page(&self.filter, self.after, asked).await;
        let page = page.map_err(|error| self.desk.failed(&error))?;
        self.after = page.last().map(DeadLetter::place);
        self.left = if page.len() < asked { 0 } else { self.left - page.len() };
        Ok(page)
    }
}
