//! Rows in copy-on-write pages: a long table whose freezing costs a pointer a page, and whose
//! rows cost nothing before they are written.

use std::sync::Arc;

/// A table that grows at its end. Pages written since the last [`Column::freeze`] are owned and
/// written in place; frozen ones are shared, and copied by the first write to them.
#[derive(Clone, Debug)]
pub(crate) struct Column<T, const ROWS: usize> {
    pages: Vec<Page<T>>,
    length: usize,
}

/// Ownership is in the variant, not in a counter, so that a write costs no atomic operation. A full
/// page of equal rows is one row.
#[derive(Clone, Debug)]
pub(crate) enum Page<T> {
    Owned(Vec<T>),
    Shared(Arc<Vec<T>>),
    Alike(Arc<T>),
}

/// What a row holds in columns of its own, frozen with it.
pub(crate) trait Freeze {
    fn freeze(&mut self) {}
}

impl<T, const ROWS: usize> Default for Column<T, ROWS> {
    fn default() -> Self {
        Column { pages: Vec::new(), length: 0 }
    }
}

impl<T, const ROWS: usize> Column<T, ROWS> {
    pub fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub fn get(&self, row: u32) -> &T {
        let row = row as usize;
        self.pages[row / ROWS].row(row % ROWS)
    }

    /// Drops the last `pages`; false once nothing is left.
    pub fn shed(&mut self, pages: usize) -> bool {
        self.pages.truncate(self.pages.len().saturating_sub(pages));
        self.length = self.length.min(self.pages.len() * ROWS);
        self.length > 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.length).map(|row| self.pages[row / ROWS].row(row % ROWS))
    }
}

impl<T: Clone, const ROWS: usize> Column<T, ROWS> {
    #[inline]
    pub fn get_mut(&mut self, row: u32) -> &mut T {
        let row = row as usize;
        &mut self.pages[row / ROWS].own(ROWS)[row % ROWS]
    }

    /// The number of the new row.
    pub fn push(&mut self, value: T) -> u32 {
        let row = self.length;
        if row.is_multiple_of(ROWS) {
            self.pages.push(Page::Owned(Vec::new()));
        }
        self.pages[row / ROWS].own(ROWS).push(value);
        self.length += 1;
        row as u32
    }

    /// `count` more rows, each a copy of `value`; the number of the first. Costs a pointer a page.
    pub fn extend(&mut self, count: u32, value: &T) -> u32 {
        let first = self.length as u32;
        let mut left = count as usize;
        let mut alike = None;
        while left > 0 {
            let filled = self.length % ROWS;
            if filled == 0 && left >= ROWS {
                let row = alike.get_or_insert_with(|| Arc::new(value.clone()));
                self.pages.push(Page::Alike(row.clone()));
                self.length += ROWS;
                left -= ROWS;
                continue;
            }
            if filled == 0 {
                self.pages.push(Page::Owned(Vec::new()));
            }
            let here = left.min(ROWS - filled);
            self.pages[self.length / ROWS].own(ROWS).resize(filled + here, value.clone());
            self.length += here;
            left -= here;
        }
        first
    }

    pub fn last_mut(&mut self) -> Option<&mut T> {
        let last = self.length.checked_sub(1)?;
        Some(self.get_mut(last as u32))
    }
}

impl<T: Clone + Freeze, const ROWS: usize> Column<T, ROWS> {
    /// A copy that stays as it is, whatever is written here afterwards.
    pub fn freeze(&mut self) -> Self {
        self.share();
        self.clone()
    }

    /// Makes a clone cheap.
    pub fn share(&mut self) {
        self.pages.iter_mut().for_each(Page::share);
    }

    /// As [`Column::share`], unless it is so short that copying it costs less than sharing.
    pub fn share_if_long(&mut self) {
        if self.pages.len() > 1 {
            self.share();
        } else if let Some(Page::Owned(rows)) = self.pages.first_mut() {
            rows.iter_mut().for_each(T::freeze);
        }
    }
}

impl<T: Freeze> Page<T> {
    /// Makes a clone of the page cost a pointer.
    pub fn share(&mut self) {
        if let Page::Owned(rows) = self {
            let mut rows = std::mem::take(rows);
            if std::mem::needs_drop::<T>() {
                rows.iter_mut().for_each(T::freeze);
            }
            *self = Page::Shared(Arc::new(rows));
        }
    }
}

impl<T> Page<T> {
    #[inline]
    pub fn row(&self, place: usize) -> &T {
        match self {
            Page::Owned(rows) => &rows[place],
            Page::Shared(rows) => &rows[place],
            Page::Alike(row) => row,
        }
    }
}

impl<T: Clone> Page<T> {
    #[inline]
    /// The rows of a page that has `length` of them when it is full.
    pub fn own(&mut self, length: usize) -> &mut Vec<T> {
        if !matches!(self, Page::Owned(_)) {
            self.unshare(length);
        }
        match self {
            Page::Owned(rows) => rows,
            Page::Shared(_) | Page::Alike(_) => unreachable!("it was copied above"),
        }
    }

    #[cold]
    fn unshare(&mut self, length: usize) {
        let rows = match self {
            Page::Owned(_) => return,
            Page::Shared(rows) => {
                let rows = std::mem::take(rows);
                Arc::try_unwrap(rows).unwrap_or_else(|rows| (*rows).clone())
            }
            Page::Alike(row) => vec![(**row).clone(); length],
        };
        *self = Page::Owned(rows);
    }
}

impl Freeze for u32 {}

impl Freeze for u64 {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_shed_from_the_end() {
        let mut column: Column<u32, 4> = Column::default();
        column.extend(10, &7);
        assert!(column.shed(1));
        assert_eq!(column.iter().count(), 8);
        assert!(!column.shed(2) && column.len() == 0);
        assert_eq!(column.push(1), 0, "it begins again");
    }

    #[test]
    fn what_was_frozen_stays() {
        let mut column: Column<u32, 4> = Column::default();
        for number in 0..10 {
            assert_eq!(column.push(number), number);
        }
        let frozen = column.freeze();
        *column.get_mut(5) = 50;
        column.push(10);
        column.extend(9, &7);
        *column.get_mut(13) = 70;
        assert_eq!(frozen.iter().copied().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        let now = [0, 1, 2, 3, 4, 50, 6, 7, 8, 9, 10, 7, 7, 70, 7, 7, 7, 7, 7, 7];
        assert_eq!(column.iter().copied().collect::<Vec<_>>(), now);
    }
}
