//! Who sees which value, row by row.

use super::drawing::{graph, map, stub, task};
use super::world::World;

#[test]
fn row_32_the_latest_ancestor_is_seen() {
    let steps = [task("a").next("b"), task("b").next("c"), task("c")];
    let mut world = World::new(1);
    world.submit(&graph(&steps), &[("x", "0")]);
    world.succeed("a", &[("x", "1")]);
    world.succeed("b", &[("x", "2")]);
    assert_eq!(world.sees("c", "x").as_deref(), Some("2"));
}

#[test]
fn row_33_and_34_rank_decides_not_the_order_of_ends() {
    let steps =
        [task("a"), task("b").needs(&["a"]), task("c").needs(&["a"]), task("d").needs(&["b", "c"])];
    for order in [["b", "c"], ["c", "b"]] {
        let mut world = World::new(4);
        world.submit(&graph(&steps), &[]);
        world.succeed("a", &[("old", "0"), ("x", "0")]);
        for name in order {
            let written = format!("\"{name}\"");
            let own = [("x", written.as_str()), ("old", "1")];
            world.succeed(name, if name == "b" { &own } else { &own[..1] });
        }
        assert_eq!(world.sees("d", "x").as_deref(), Some("\"c\""));
        // The old value that came along through c does not win over b's.
        assert_eq!(world.sees("d", "old").as_deref(), Some("1"));
    }
}

#[test]
fn row_35_a_failure_writes_nothing() {
    let steps = [task("a").next("b").fails("h"), task("b"), task("h")];
    let mut world = World::new(1);
    world.submit(&graph(&steps), &[("lost", "0")]);
    world.fail("a");
    assert_eq!(world.sees("h", "lost").as_deref(), Some("0"));
}

#[track_caller]
fn check_items(writes: &[(&str, &str, &str)], expected: &str) {
    let steps = [map("m", "xs", &[task("s")]).next("after"), task("after")];
    let mut world = World::new(4);
    world.submit(&graph(&steps), &[("xs", "[1, 2, 3]")]);
    for path in ["m.2.s", "m.0.s", "m.1.s"] {
        assert_eq!(world.sees(path, "i").as_deref(), path.get(2..3));
        let own = writes.iter().filter(|(by, ..)| *by == path);
        let own: Vec<_> = own.map(|(_, name, value)| (*name, *value)).collect();
        world.succeed(path, &own);
    }
    assert_eq!(world.sees("after", "y").as_deref(), Some(expected));
    assert_eq!(world.sees("after", "x"), None, "an item's own names stay in it");
}

#[test]
fn row_36_38_and_39_items_merge_in_item_order() {
    check_items(&[("m.0.s", "y", "1"), ("m.1.s", "y", "4"), ("m.2.s", "y", "9")], "[1, 4, 9]");
    check_items(&[("m.0.s", "y", "1"), ("m.2.s", "y", "9")], "[1, 9]");
    check_items(&[("m.0.s", "~y", "1"), ("m.1.s", "~y", "4"), ("m.2.s", "~y", "9")], "9");
}

#[test]
fn row_21_a_failed_map_writes_nothing() {
    let steps = [map("m", "xs", &[task("s")]).fails("h"), task("h")];
    let mut world = World::new(4);
    world.submit(&graph(&steps), &[("xs", "[1, 2, 3]"), ("y", "0")]);
    world.succeed("m.0.s", &[("y", "1")]);
    world.fail("m.1.s");
    world.succeed("m.2.s", &[("y", "9")]);
    assert_eq!(world.sees("h", "y").as_deref(), Some("0"));
}

#[test]
fn a_map_in_a_map_iterates_over_its_item() {
    let inner = map("in", "x", &[task("s")]);
    let mut world = World::new(8);
    let run = world.submit(&graph(&[map("m", "xs", &[inner])]), &[("xs", "[[1, 2], [3]]")]);
    assert_eq!(world.sees("m.0.in.1.s", "x").as_deref(), Some("2"));
    for (path, value) in [("m.0.in.0.s", "1"), ("m.0.in.1.s", "2"), ("m.1.in.0.s", "3")] {
        world.succeed(path, &[("y", value)]);
    }
    let record = world.state.run(run).expect("it is not archived").record();
    let y = record.parameters_at_end.iter().find(|(name, _)| &**name == "y");
    assert_eq!(y.map(|(_, value)| value.spelled()), Some("[[1, 2], [3]]"));
}

#[test]
fn a_million_items_cost_ranges_and_a_wide_map_opens_lazily() {
    let items: Vec<String> = (0..5_000).map(|item: u32| item.to_string()).collect();
    let list = format!("[{}]", items.join(", "));
    let mut world = World::new(1);
    let run = world.submit(&graph(&[map("m", "xs", &[stub("s")])]), &[("xs", &list)]);
    let row = world.state.runs.get(0);
    let kept = row.maps.get(0).past.len();
    assert!(kept < 10, "5,000 items that ended alike are {kept} rows");
    assert_eq!(row.frames.len(), 2, "one frame is used again and again");
    assert_eq!(world.state.run(run).expect("it is here").counts().succeeded, 5_001);

    let mut world = World::new(1);
    let run = world.submit(&graph(&[map("m", "xs", &[task("s")])]), &[("xs", &list)]);
    assert_eq!(world.state.runs.get(0).maps.get(0).open, 1_024);
    assert_eq!(world.state.run(run).expect("it is here").counts().waiting, 5_000 - 1_024);
}
