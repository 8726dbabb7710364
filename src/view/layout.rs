//! Columns: rows of cells under each other, as wide as there is room for.
//! Knows nothing of what the cells say.

use super::look::{Piece, Style, width};

/// Which side of its column a cell leans on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lean {
    Left,
    Right,
}

/// A column: what is the same for all its cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) lean: Lean,
    pub(super) style: Style,
    /// In front of it, unless it comes first.
    pub(super) gap: usize,
    /// Never narrower, so that a picture does not jump when a number grows.
    pub(super) width_min: usize,
}

/// Rows that have been cut to some columns.
pub(super) struct Block {
    /// How far each row is indented.
    pub(super) indents: Vec<usize>,
    /// The columns, each with one cell for each row.
    pub(super) columns: Vec<(Column, Vec<String>)>,
    /// What follows a row, not aligned.
    pub(super) tails: Vec<Vec<Piece>>,
}

impl Block {
    /// How wide the columns are, the widest indent included and the tails not. A column without any text takes no room.
    pub(super) fn width(&self) -> usize {
        self.widths().into_iter().enumerate().map(|(at, width)| self.gap(at, width) + width).sum()
    }

    /// The columns' widths; the first one's holds the indent.
    fn widths(&self) -> Vec<usize> {
        let cell_width = |at: usize, row: usize, cell: &str| {
            width(cell) + if at == 0 { self.indents.get(row).copied().unwrap_or(0) } else { 0 }
        };
        self.columns
            .iter()
            .enumerate()
            .map(|(at, (column, cells))| {
                let widest =
                    cells.iter().enumerate().map(|(row, cell)| cell_width(at, row, cell)).max().unwrap_or(0);
                if cells.iter().all(String::is_empty) { 0 } else { widest.max(column.width_min) }
            })
            .collect()
    }

    fn gap(&self, at: usize, width: usize) -> usize {
        if at == 0 || width == 0 { 0 } else { self.columns[at].0.gap }
    }

    /// The rows as pieces, for [`line`](super::look::line) to cut to a width.
    pub(super) fn rows(&self) -> Vec<Vec<Piece>> {
        let widths = self.widths();
        let row = |(row, tail): (usize, &Vec<Piece>)| {
            let mut pieces = Vec::new();
            for (at, (column, cells)) in self.columns.iter().enumerate() {
                let cell = cells.get(row).map_or("", String::as_str);
                let indent = if at == 0 { self.indents.get(row).copied().unwrap_or(0) } else { 0 };
                let room = " ".repeat(widths[at].saturating_sub(width(cell) + indent));
                let before = " ".repeat(self.gap(at, widths[at]) + indent);
                let cell = Piece::new(cell, column.style);
                match column.lean {
                    Lean::Left => pieces.extend([Piece::plain(before), cell, Piece::plain(room)]),
                    Lean::Right => pieces.extend([Piece::plain(before + &room), cell]),
                }
            }
            pieces.extend(tail.iter().cloned());
            pieces
        };
        self.tails.iter().enumerate().map(row).collect()
    }
}
