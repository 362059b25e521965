//! Columns for people: as wide as their widest cell, and together no wider than the terminal, as far as cells can be cut that still
//! tell something. On a narrower one lines go on in the next, as the terminal wraps them: nothing more is hidden.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

use crate::ledger::LetterState;

/// Between two columns.
const GAP: usize = 2;
/// What is left of a column that must give way: less would tell nothing, so a terminal of 40 columns wraps a table of eight.
const LEAST: usize = 8;

/// One cell.
pub struct Cell {
    text: String,
    style: Style,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, style: Style::new() }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<LetterState> for Cell {
    fn from(state: LetterState) -> Self {
        let style = match state {
            LetterState::DeadLettered => AnsiColor::Red.on_default(),
            LetterState::Replaying => AnsiColor::Yellow.on_default(),
            LetterState::Discarded => Style::new().dimmed(),
        };
        Self { text: state.as_str().to_owned(), style }
    }
}

/// The lines of a table. The last columns give way first where there is no room.
pub fn lines<const N: usize>(head: [&str; N], rows: Vec<[Cell; N]>) -> Vec<String> {
    lines_within(width(), head, rows)
}

fn lines_within<const N: usize>(limit: Option<usize>, head: [&str; N], rows: Vec<[Cell; N]>) -> Vec<String> {
    let bold = Style::new().bold();
    let head = head.map(|text| Cell { text: text.to_owned(), style: bold });
    let all: Vec<[Cell; N]> = std::iter::once(head).chain(rows).collect();
    let mut widths = [0; N];
    for row in &all {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.chars().count());
        }
    }
    if let Some(limit) = limit {
        narrow(&mut widths, limit);
    }
    all.iter().map(|row| line(row, &widths)).collect()
}

fn narrow(widths: &mut [usize], limit: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    for place in (0..widths.len()).rev() {
        let over = (widths.iter().sum::<usize>() + gaps).saturating_sub(limit);
        widths[place] -= over.min(widths[place].saturating_sub(LEAST));
    }
}

fn line(row: &[Cell], widths: &[usize]) -> String {
    let mut line = String::new();
    for (place, (cell, width)) in row.iter().zip(widths).enumerate() {
        let (style, text) = (cell.style, cut(&cell.text, *width));
        let is_last = place + 1 == row.len();
        let pad = if is_last { 0 } else { width - text.chars().count() + GAP };
        line.push_str(&format!("{style}{text}{style:#}{:pad$}", ""));
    }
    line
}

/// An identity is known by both its ends, so the middle goes.
fn cut(text: &str, width: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= width {
        return text.to_owned();
    }
    let (head, tail) = (width / 2, width.saturating_sub(width / 2 + 1));
    let mut short: String = characters[..head].iter().collect();
    short.push('…');
    short.extend(&characters[characters.len() - tail..]);
    short
}

/// The terminal's columns; none where output goes elsewhere, and is never cut.
fn width() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(stdout).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(limit: Option<usize>) -> Vec<String> {
        let rows = vec![["a".into(), "order-0123456789-end".into()], ["bbb".into(), "x".into()]];
        let strip = |line: String| anstream::adapter::strip_str(&line).to_string();
        lines_within(limit, ["ONE", "EVENT"], rows).into_iter().map(strip).collect()
    }

    #[test]
    fn columns_stand_below_each_other() {
        assert_eq!(plain(None), ["ONE  EVENT", "a    order-0123456789-end", "bbb  x"]);
    }

    #[test]
    fn what_does_not_fit_is_cut_in_its_middle() {
        assert_eq!(plain(Some(16)), ["ONE  EVENT", "a    order…9-end", "bbb  x"]);
        assert!(plain(Some(1))[1].chars().count() <= 3 + GAP + LEAST, "but never to nothing");
    }
}
