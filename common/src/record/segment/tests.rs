//! Round trips, golden bytes and damage of manifests and segments.

use std::sync::Arc;

use super::*;
use crate::limits::ALIKE_ITEMS_MAX;
use crate::record::fixture;
use crate::record::{Alike, Folder, FrameRecord, NodeRecord, NodeStatus, spread};

#[test]
fn a_manifest_comes_back_and_every_flipped_byte_is_seen() {
    let manifest = fixture::manifest();
    let bytes = seal_manifest(&manifest).unwrap();
    assert_eq!(open_manifest(&bytes), Ok(manifest));
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x41;
        assert!(open_manifest(&damaged).is_err(), "byte {place}");
        assert!(open_manifest(&bytes[..place]).is_err(), "cut at {place}");
    }
}

#[test]
fn a_segment_comes_back_and_every_flipped_byte_is_seen() {
    let story = fixture::story();
    let (name, bytes) = sealed(&story);
    assert_eq!(read(&name, &bytes), Ok(story));
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x41;
        assert!(read(&name, &damaged).is_err(), "byte {place}");
        assert!(read(&name, &bytes[..place]).is_err(), "cut at {place}");
    }
}

/// Frozen: what is stored today is read for ever. A change here is a new version beside this one.
#[test]
fn version_1_keeps_its_bytes() {
    let segment = include_bytes!("golden/segment-v1.bin");
    let manifest = include_bytes!("golden/manifest-v1.bin");
    let (name, bytes) = sealed(&fixture::story());
    assert_eq!(bytes, segment);
    assert_eq!(read(&name, segment), Ok(fixture::story()));
    assert_eq!(seal_manifest(&fixture::manifest()).as_deref(), Ok(&manifest[..]));
    assert_eq!(open_manifest(manifest), Ok(fixture::manifest()));
}

/// One entry of few bytes must not stand for a story without end, or for items without numbers.
#[test]
fn equal_items_that_nobody_can_have_written_are_refused() {
    let alike = |first: u32, count: u32, labels: usize| Alike {
        composite: "m".into(),
        first,
        count,
        labels: vec!["x".into(); labels],
        status: NodeStatus::Succeeded,
        nodes: vec![fixture::plain_node("s")],
    };
    for (alike, is_sound) in [
        (alike(0, ALIKE_ITEMS_MAX, 0), true),
        (alike(7, 2, 2), true),
        (alike(0, ALIKE_ITEMS_MAX + 1, 0), false),
        (alike(u32::MAX, 1, 0), true),
        (alike(u32::MAX, 2, 0), false),
        (alike(0, 3, 2), false),
    ] {
        let (name, bytes) = sealed(&[Entry::Alike(alike)]);
        assert_eq!(read(&name, &bytes).is_ok(), is_sound);
    }
}

#[test]
fn a_long_story_is_cut_into_segments_below_the_bound() {
    let mut writer = SegmentWriter::default();
    let mut names = Vec::new();
    let text: Arc<str> = "x".repeat(60 << 10).into();
    for place in 0..200 {
        let node = NodeRecord { reason: text.clone(), ..fixture::plain_node(&format!("s{place}")) };
        names.extend(writer.push(&Entry::Node(node)).unwrap().map(|(name, _)| name));
    }
    names.extend(writer.finish().map(|(name, _)| name));
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.bytes <= SEGMENT_BYTES_MAX as u64));
    assert_eq!(names.iter().map(|name| name.entries).sum::<u32>(), 200);
    assert!(writer.finish().is_none());
}

#[test]
fn equal_items_are_told_as_one_and_come_back_each_by_itself() {
    let mut story = vec![Entry::Node(NodeRecord { frames: 10, ..fixture::plain_node("m") })];
    for item in 0..10 {
        let status = if item == 6 { NodeStatus::Failed } else { NodeStatus::Succeeded };
        story.push(Entry::Frame(FrameRecord {
            path: format!("m.{item}").into(),
            label: format!("label {item}").into(),
            status,
        }));
        for step in ["a", "b"] {
            let node = fixture::plain_node(&format!("m.{item}.{step}"));
            story.push(Entry::Node(NodeRecord { status, ..node }));
        }
    }
    story.push(Entry::Node(fixture::plain_node("z")));

    let folded = fold(&story);
    let shapes: Vec<String> = folded.iter().map(shape).collect();
    let expected =
        ["m", "m[0..6]", "frame m.6", "m.6.a", "m.6.b", "m[7..10]", "z"].map(str::to_owned);
    assert_eq!(shapes, expected);
    assert_eq!(unfolded(folded), story);
}

#[test]
fn frames_with_composites_inside_stand_for_themselves() {
    let frame = |path: &str| {
        let status = NodeStatus::Succeeded;
        Entry::Frame(FrameRecord { path: path.into(), label: "".into(), status })
    };
    let node = |path: &str| Entry::Node(fixture::plain_node(path));
    let inner = |path: &str| Entry::Node(NodeRecord { frames: 2, ..fixture::plain_node(path) });
    let mut story = vec![inner("m")];
    for outer in ["m.0", "m.1"] {
        story.extend([frame(outer), node(&format!("{outer}.a")), inner(&format!("{outer}.n"))]);
        for item in 0..2 {
            story.extend([
                frame(&format!("{outer}.n.{item}")),
                node(&format!("{outer}.n.{item}.w")),
            ]);
        }
        story.push(node(&format!("{outer}.z")));
    }
    let folded = fold(&story);
    let shapes: Vec<String> = folded.iter().map(shape).collect();
    let outer = |o: &str| {
        [
            format!("frame {o}"),
            format!("{o}.a"),
            format!("{o}.n"),
            format!("{o}.n[0..2]"),
            format!("{o}.z"),
        ]
    };
    let expected: Vec<String> =
        ["m".to_owned()].into_iter().chain(outer("m.0")).chain(outer("m.1")).collect();
    assert_eq!(shapes, expected);
    assert_eq!(unfolded(folded), story);
}

fn sealed(story: &[Entry]) -> (SegmentName, Vec<u8>) {
    let mut writer = SegmentWriter::default();
    for entry in story {
        assert_eq!(writer.push(entry), Ok(None));
    }
    writer.finish().unwrap()
}

fn read(name: &SegmentName, bytes: &[u8]) -> Result<Vec<Entry>, Unreadable> {
    let mut entries = Vec::new();
    read_segment(name, bytes, &mut |entry| {
        entries.push(entry);
        Ok::<(), Unreadable>(())
    })?;
    Ok(entries)
}

fn fold(story: &[Entry]) -> Vec<Entry> {
    let (mut folder, mut folded) = (Folder::default(), Vec::new());
    for entry in story {
        folder.push(entry.clone(), &mut folded);
    }
    folder.finish(&mut folded);
    folded
}

fn unfolded(folded: Vec<Entry>) -> Vec<Entry> {
    let mut all = Vec::new();
    for entry in folded {
        spread(entry, &mut |entry| {
            all.push(entry);
            Ok::<(), Unreadable>(())
        })
        .unwrap();
    }
    all
}

fn shape(entry: &Entry) -> String {
    match entry {
        Entry::Node(node) => node.path.to_string(),
        Entry::Frame(frame) => format!("frame {}", frame.path),
        Entry::Alike(Alike { composite, first, count, .. }) => {
            format!("{composite}[{first}..{}]", first + count)
        }
    }
}
