//! Rows in copy-on-write pages that come at one end and leave at the other.

use std::collections::VecDeque;

use super::column::{Freeze, Page};

/// A row keeps its number as long as it is here. A page goes when its last row does.
#[derive(Clone, Debug)]
pub(crate) struct Fifo<T, const ROWS: usize> {
    pages: VecDeque<Page<T>>,
    /// The number of the oldest row.
    first: u64,
    /// The number of the next one to come.
    next: u64,
}

impl<T, const ROWS: usize> Default for Fifo<T, ROWS> {
    fn default() -> Self {
        Fifo { pages: VecDeque::new(), first: 0, next: 0 }
    }
}

impl<T, const ROWS: usize> Fifo<T, ROWS> {
    pub fn len(&self) -> u64 {
        self.next - self.first
    }

    pub fn get(&self, number: u64) -> Option<&T> {
        if number < self.first || number >= self.next {
            return None;
        }
        let rows = ROWS as u64;
        let page = (number / rows - self.first / rows) as usize;
        Some(self.pages[page].row((number % rows) as usize))
    }

    pub fn first(&self) -> Option<&T> {
        self.get(self.first)
    }

    pub fn pop(&mut self) {
        if self.len() == 0 {
            return;
        }
        self.first += 1;
        if self.first.is_multiple_of(ROWS as u64) {
            self.pages.pop_front();
        }
    }

    /// With their numbers, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.first..self.next).filter_map(|number| Some((number, self.get(number)?)))
    }
}

impl<T: Clone, const ROWS: usize> Fifo<T, ROWS> {
    /// The number of the new row.
    pub fn push(&mut self, value: T) -> u64 {
        if self.next.is_multiple_of(ROWS as u64) {
            self.pages.push_back(Page::Owned(Vec::new()));
        }
        if let Some(last) = self.pages.back_mut() {
            last.own(ROWS).push(value);
        }
        self.next += 1;
        self.next - 1
    }
}

impl<T: Clone + Freeze, const ROWS: usize> Fifo<T, ROWS> {
    /// A copy that stays as it is, whatever comes and goes here afterwards.
    pub fn freeze(&mut self) -> Self {
        self.pages.iter_mut().for_each(Page::share);
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_and_leave_in_order_and_what_was_frozen_stays() {
        let mut fifo: Fifo<u64, 4> = Fifo::default();
        let all = |fifo: &Fifo<u64, 4>| fifo.iter().map(|(_, row)| *row).collect::<Vec<_>>();
        let (mut first, mut next) = (0, 0);
        for round in 0..40 {
            for _ in 0..round % 7 {
                assert_eq!(fifo.push(next), next);
                next += 1;
            }
            let (frozen, before) = (fifo.freeze(), all(&fifo));
            for _ in 0..round % 6 {
                fifo.pop();
                first = next.min(first + 1);
            }
            assert_eq!(all(&frozen), before, "round {round}");
            assert_eq!(all(&fifo), (first..next).collect::<Vec<_>>(), "round {round}");
            assert_eq!(fifo.first().copied(), (first < next).then_some(first));
            assert_eq!((fifo.len(), fifo.get(next)), (next - first, None));
        }
    }
}
