//! What a node sees: what its ancestors wrote, over its items, over all that its composites see.

use std::sync::Arc;

use dagmar_common::graph::CompositeMode;
use dagmar_common::value::Value;
use dagmar_common::view::{Scope, View};

use crate::state::frame::FrameRow;
use crate::state::map::MapRow;
use crate::state::node::NONE;
use crate::state::run::RunRow;

/// One value by name, as the node at `row` sees it.
pub(crate) fn find(run: &RunRow, mut row: u32, name: &str) -> Option<Value> {
    loop {
        let node = run.nodes.get(row);
        if let Some((_, value)) = node.view.get(name) {
            return Some(value.clone());
        }
        let frame = run.frames.get(node.frame);
        if frame.map == NONE {
            return run.initial.get(name).cloned();
        }
        let map = run.maps.get(frame.map);
        let (item_name, index_name) = names(run, map);
        if name == item_name {
            return Some(item(map, frame));
        }
        if index_name == Some(name) {
            return Some(Value::from_spelled(frame.item.to_string()));
        }
        row = map.node;
    }
}

/// All that the node at `row` sees, as a chain that shares what it can.
pub(crate) fn of(run: &RunRow, row: u32) -> Scope {
    let node = run.nodes.get(row);
    Scope { overlay: node.view.clone(), base: Some(base(run, node.frame)) }
}

/// What every node of a frame sees before any other of them wrote.
fn base(run: &RunRow, frame: u32) -> Arc<Scope> {
    let frame = run.frames.get(frame);
    if frame.map == NONE {
        return run.initial.clone();
    }
    let map = run.maps.get(frame.map);
    Arc::new(Scope { overlay: own(run, frame), base: Some(Arc::new(of(run, map.node))) })
}

/// The names that an item adds: itself and its index.
pub(crate) fn own(run: &RunRow, frame: &FrameRow) -> View {
    let map = run.maps.get(frame.map);
    let (item_name, index_name) = names(run, map);
    let view = View::default().with(&item_name.into(), 0, item(map, frame));
    match index_name {
        Some(name) => view.with(&name.into(), 0, Value::from_spelled(frame.item.to_string())),
        None => view,
    }
}

/// Under which names a frame's nodes see their items, outermost map first.
pub(crate) fn item_names(run: &RunRow, mut frame: u32) -> Arc<[Arc<str>]> {
    let mut all: Vec<Arc<str>> = Vec::new();
    loop {
        let around = run.frames.get(frame).map;
        if around == NONE {
            break;
        }
        let map = run.maps.get(around);
        all.push(names(run, map).0.into());
        frame = run.nodes.get(map.node).frame;
    }
    all.reverse();
    all.into()
}

fn names<'a>(run: &'a RunRow, map: &MapRow) -> (&'a str, Option<&'a str>) {
    let CompositeMode::Map { iterate_as, index_as, .. } =
        &run.graph.graph.composite(map.composite).mode;
    (iterate_as, index_as.as_deref())
}

fn item(map: &MapRow, frame: &FrameRow) -> Value {
    let text = map.items.spelled();
    Value::from_spelled(&text[frame.item_start as usize..frame.item_end as usize])
}
