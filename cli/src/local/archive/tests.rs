//! Round trips of archives, damage of every file in one, and what a dead writer leaves.

use dagmar_common::record::{NodeRecord, NodeStatus};

use super::*;
use crate::testing::{self, Scratch};

fn prepared(scratch: &Scratch) -> Project {
    let project = Project::at(scratch.path());
    project.prepare().unwrap();
    let logs = scratch.path().join("logs-of-the-worker");
    fs::create_dir_all(&logs).unwrap();
    fs::write(logs.join("0"), b"what a step wrote").unwrap();
    project
}

fn write_one(project: &Project, entries: Vec<Entry>) -> Manifest {
    let logs = project.root().join("logs-of-the-worker");
    let extras = Extras { pipeline: "hello.yaml", code: vec![testing::code()], logs: &logs };
    write(project, testing::story_of(entries), extras).unwrap()
}

fn opened(project: &Project) -> Result<Archive, Problem> {
    Ok(Archive::newest(project, &RunId::new("greedy-yonath-1608"))?.unwrap())
}

fn read_all(project: &Project) -> Result<Vec<Entry>, Problem> {
    let archive = opened(project)?;
    archive.graph()?;
    archive.entries().collect()
}

fn files_of(project: &Project) -> Vec<PathBuf> {
    let home = project.runs().join("greedy-yonath-1608/0");
    let mut files = vec![home.join("manifest"), home.join("graph")];
    files.extend(fs::read_dir(home.join("segments")).unwrap().map(|entry| entry.unwrap().path()));
    files
}

#[test]
fn what_was_archived_is_read_back() {
    let scratch = Scratch::new();
    let project = prepared(&scratch);
    let written = write_one(&project, testing::entries());
    let archive = opened(&project).unwrap();
    assert_eq!(archive.manifest, written);
    assert_eq!(archive.manifest.record, testing::record());
    assert_eq!(archive.graph().unwrap(), testing::graph_bytes());
    assert_eq!(read_all(&project).unwrap(), testing::entries());
    assert_eq!(fs::read(archive.logs().join("0")).unwrap(), b"what a step wrote");
    let home = project.runs().join("greedy-yonath-1608");
    assert_eq!(fs::read_dir(home).unwrap().count(), 1, "nothing is left aside");
}

#[test]
fn every_flipped_bit_and_every_cut_of_every_file_is_seen() {
    let scratch = Scratch::new();
    let project = prepared(&scratch);
    write_one(&project, testing::entries());
    for path in files_of(&project) {
        let whole = fs::read(&path).unwrap();
        let refused = |damaged: &[u8], what: &str| {
            fs::write(&path, damaged).unwrap();
            let refused = read_all(&project).unwrap_err();
            assert_eq!(refused.code, Code::Damaged, "{what} of {}: {refused}", path.display());
            let is_named = refused.message.contains(path.to_str().unwrap());
            assert!(is_named, "{what} of {}: {refused}", path.display());
        };
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            refused(&damaged, &format!("bit {bit}"));
        }
        for length in 0..whole.len() {
            refused(&whole[..length], &format!("a cut at {length}"));
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(read_all(&project).is_ok());
}

#[test]
fn a_long_story_goes_through_in_pieces() {
    let scratch = Scratch::new();
    let project = prepared(&scratch);
    let text = "x".repeat(40 << 10);
    let entries: Vec<Entry> = (0..300)
        .map(|number| {
            let node = testing::node(&format!("s{number}"), NodeStatus::Succeeded);
            Entry::Node(NodeRecord { reason: text.as_str().into(), ..node })
        })
        .collect();
    let manifest = write_one(&project, entries.clone());
    assert_eq!(manifest.segments.len(), 3);
    assert_eq!(read_all(&project).unwrap(), entries);
}

#[test]
fn half_an_archive_is_none_and_a_whole_one_is_not_written_again() {
    let scratch = Scratch::new();
    let project = prepared(&scratch);
    let aside = project.runs().join("greedy-yonath-1608/.0.new/segments");
    fs::create_dir_all(&aside).unwrap();
    fs::write(aside.join("rest"), b"of a writer that died").unwrap();
    assert!(Archive::newest(&project, &RunId::new("greedy-yonath-1608")).unwrap().is_none());
    let first = write_one(&project, testing::entries());
    let second = write_one(&project, Vec::new());
    assert_eq!(first, second);
    assert!(!aside.exists());
}
