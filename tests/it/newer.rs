//! What a newer version has written: it is named as such, and left as it is.

use std::fs;

use dagmar_common::envelope::{Kind, open_first, seal};

use crate::room::{Room, TWO_STEPS};

/// Far above what this program knows.
const LATER: u16 = 900;

/// The same file with every envelope of a later version, each whole and in its place.
fn raised(bytes: &[u8], kind: Kind) -> Vec<u8> {
    let (mut at, mut out) = (0, bytes.to_vec());
    while at < out.len() {
        let Ok((_, body, behind)) = open_first(kind, LATER, &bytes[at..]) else {
            at += 1;
            continue;
        };
        let end = bytes.len() - behind.len();
        out[at..end].copy_from_slice(&seal(kind, LATER, body));
        at = end;
    }
    assert_ne!(out, bytes, "it holds nothing of this kind");
    out
}

/// Raises one file, asks, and puts it back: whoever asked has let it be.
fn check(room: &Room, file: &str, kind: Kind, commands: &[&[&str]]) {
    let path = room.path(file);
    let before = fs::read(&path).expect("the file is there");
    let later = raised(&before, kind);
    let put = |bytes: &[u8]| {
        // Not in place: other names may stand for the same file.
        fs::remove_file(&path).expect("it can be removed");
        fs::write(&path, bytes).expect("it can be written");
    };
    put(&later);
    for arguments in commands {
        let said = room.dagmar(arguments);
        let what = format!("{arguments:?} with a newer {file}: {said:?}");
        assert_eq!(said.code, Some(1), "{what}");
        assert!(said.err.contains("E0903"), "{what}");
        assert!(said.err.contains("a newer one"), "what to type: {what}");
        assert!(said.err.contains("version 900"), "{what}");
        assert!(said.err.contains(".dagmar/"), "which file: {what}");
        assert!(fs::read(&path).is_ok_and(|now| now == later), "it is touched: {what}");
    }
    let ls = room.dagmar(&["ls"]);
    assert!(ls.code == Some(0) && ls.out.contains("other  "), "{ls:?}");
    put(&before);
}

#[test]
fn a_newer_archive_is_named_and_left() {
    let room = Room::with(TWO_STEPS);
    room.write("go", "");
    for run in ["other", "r"] {
        assert_eq!(room.dagmar(&["run", "--run-id", run]).code, Some(0));
    }
    let truth = room.dagmar(&["show", "r", "-o", "json"]).out;
    let home = ".dagmar/runs/r/0";
    let show: &[&str] = &["show", "r", "-o", "json"];
    check(&room, &format!("{home}/manifest"), Kind::Manifest, &[show, &["logs", "r"]]);
    check(&room, &format!("{home}/graph"), Kind::Graph, &[show]);
    // A segment goes by its digest: a newer one stands only behind a newer manifest.
    for log in room.names(&format!("{home}/logs")) {
        check(&room, &format!("{home}/logs/{log}"), Kind::LogChunk, &[&["logs", "r"]]);
    }
    assert_eq!(room.dagmar(show).out, truth);
}

#[test]
fn a_newer_interrupted_run_is_named_and_left() {
    let room = Room::interrupted(TWO_STEPS);
    let home = ".dagmar/live/r";
    let all: &[&[&str]] = &[&["resume", "r"], &["show", "r"], &["logs", "r"]];
    check(&room, &format!("{home}/records"), Kind::WorkerRecord, all);
    check(&room, &format!("{home}/log/highest_durable"), Kind::Watermark, all);
    let resumed = room.dagmar(&["resume", "r"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
}
