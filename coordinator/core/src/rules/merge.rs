//! How the items of a map merge into their parent: lists in item order, or the last item wins.

use dagmar_common::ids::NodeNo;
use dagmar_common::lease::OutputWay;
use dagmar_common::record::NodeStatus;
use dagmar_common::value::Value;
use dagmar_common::view::View;

use crate::rules::Turn;
use crate::rules::end::rank_of;
use crate::state::map::{MapRow, MergedName};
use crate::state::node::Why;
use crate::state::run::Work;

/// Items that are merged for one unit.
const MERGED_PER_UNIT: u32 = 8;

impl Turn<'_> {
    /// Goes on merging in item order; at its end the composite succeeds with what came out.
    pub(super) fn merge(&mut self, map: u32, end: u32) {
        let row = self.run.maps.get_mut(map);
        let mut merged = 0;
        while row.merge.next < row.count {
            merged += 1;
            if merged % MERGED_PER_UNIT == 0 {
                self.units += 1;
            }
            if self.units >= end {
                self.run.agenda.push(Work::Merge { map });
                return;
            }
            row.merge_next();
        }
        let node = row.node;
        let names = std::mem::take(&mut row.merge.names);
        let (section, no): (_, NodeNo) = self.run.place(node);
        let rank = self.run.graph.graph.section(section).rank(no);
        let own = names.into_iter().fold(View::default(), |view, (name, merged)| {
            let (way, value) = merged.finish();
            view.with(&name, rank_of(rank, way), value)
        });
        self.run.maps.get_mut(map).written = own.clone();
        self.write(node, own);
        self.end_map(map, NodeStatus::Succeeded, Why::Plain);
    }
}

impl MapRow {
    fn merge_next(&mut self) {
        let item = self.merge.next;
        let Some(past) = self.past_from(item) else {
            unreachable!("item {item} has ended and is not kept")
        };
        let (count, is_empty) = (past.count, past.result.is_empty());
        self.merge.next += count;
        if is_empty {
            return;
        }
        let place = *self.order.get(item);
        // Merged, the result is needed no longer: the item's outputs stand in its trials.
        let result = std::mem::take(&mut self.past.get_mut(place).result);
        result.each(&mut |name, rank, value| {
            let merged = self.merge.names.entry(name.clone()).or_insert_with(|| MergedName {
                values: String::new(),
                last: value.clone(),
                is_list: false,
            });
            if !merged.values.is_empty() {
                merged.values.push_str(", ");
            }
            merged.values.push_str(value.spelled());
            merged.last = value.clone();
            merged.is_list |= rank & 1 == 1;
        });
    }
}

impl MergedName {
    fn finish(self) -> (OutputWay, Value) {
        if self.is_list {
            (OutputWay::File, Value::from_spelled(format!("[{}]", self.values)))
        } else {
            (OutputWay::Variable, self.last)
        }
    }
}
