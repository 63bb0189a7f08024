//! The place in a run that a path such as `map.3.step` names.

use dagmar_common::graph::{CompositeMode, NodeKind};
use dagmar_common::ids::SectionNo;
use dagmar_common::record::NodeStatus;

use crate::state::node::NONE;
use crate::state::run::RunRow;

pub(crate) enum Found {
    /// A row of an open frame.
    Row(u32),
    /// A node of an item that has ended.
    Past { status: NodeStatus },
    /// In an item that has no frame yet.
    Unopened { map: u32 },
}

/// Where the path goes on: in an open frame, or in the block of one that has ended.
#[derive(Clone, Copy)]
enum Rows {
    Open(u32),
    Past(u32),
}

pub(crate) fn find(run: &RunRow, path: &str) -> Option<Found> {
    let mut parts = path.split('.');
    let mut rows = Rows::Open(run.frames.get(0).first);
    let mut section = SectionNo(0);
    loop {
        let no = run.graph.graph.section(section).find(parts.next()?)?;
        let (map, status) = match rows {
            Rows::Open(first) => {
                let node = run.nodes.get(first + no.0);
                (node.link, node.status)
            }
            Rows::Past(block) => {
                let node = run.past.get(block + no.0);
                (node.map, node.status)
            }
        };
        let Some(item) = parts.next() else {
            return Some(match rows {
                Rows::Open(first) => Found::Row(first + no.0),
                Rows::Past(_) => Found::Past { status },
            });
        };
        let item = item.parse().ok()?;
        let NodeKind::Composite(composite) = run.graph.graph.section(section).kind(no) else {
            return None;
        };
        let CompositeMode::Map { body, .. } = &run.graph.graph.composite(composite).mode;
        if map == NONE || item >= run.maps.get(map).count {
            return None;
        }
        section = *body;
        rows = match item_rows(run, map, item) {
            Some(rows) => rows,
            None => return Some(Found::Unopened { map }),
        };
    }
}

fn item_rows(run: &RunRow, map: u32, item: u32) -> Option<Rows> {
    let mut frames = run.frames.iter().filter(|frame| !frame.is_free() && frame.map == map);
    if let Some(frame) = frames.find(|frame| frame.item == item) {
        return Some(Rows::Open(frame.first));
    }
    let map = run.maps.get(map);
    let past = map.past.iter().find(|past| (past.first..past.first + past.count).contains(&item));
    past.map(|past| Rows::Past(past.block))
}
