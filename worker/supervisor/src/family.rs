//! What /proc tells of processes: whose child each is, its group, its start, its marks.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use rustix::process::{Pid, Signal, WaitOptions};

use crate::environment::{FENCE_NAME, MARK_NAME};
use crate::packed::PackedView;

/// One process as /proc/PID/stat shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub pid: u32,
    pub parent: u32,
    pub group: u32,
    /// In ticks since boot; with the pid it names a process for ever.
    pub start_ticks: u64,
    pub zombie: bool,
}

/// None if there is no such process, or none any more.
pub fn show(pid: u32) -> Option<Shown> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, brackets and blanks too; the last bracket ends it.
    let rest = text.rsplit(|byte| *byte == b')').next()?;
    let rest = std::str::from_utf8(rest).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(16)?.parse().ok()?;
    Some(Shown { pid, parent, group, start_ticks, zombie })
}

/// Every process that can be seen.
pub fn everyone() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The mark of the supervisor that started a process or one of its ancestors, and its trial's
/// fence; None where they are not there or cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub supervisor: Option<Vec<u8>>,
    pub fence: Option<u64>,
}

pub fn marks_of(pid: u32) -> Marks {
    let Ok(bytes) = fs::read(format!("/proc/{pid}/environ")) else { return Marks::default() };
    let end = bytes.iter().rposition(|byte| *byte == 0).map_or(0, |last| last + 1);
    let Some(view) = PackedView::from_bytes(&bytes[..end]) else { return Marks::default() };
    let fence = view.value_of(FENCE_NAME).and_then(|text| std::str::from_utf8(text).ok());
    Marks {
        supervisor: view.value_of(MARK_NAME).map(<[u8]>::to_vec),
        fence: fence.and_then(|text| text.parse().ok()),
    }
}

/// Orphans of tasks: the kernel gives them to this process, for it is a subreaper.
///
/// It gives them to its main thread, which starts no process itself, so they stand in a list of
/// their own that is read with one system call; usually it is empty.
pub struct Orphans {
    main: u32,
    list: Option<File>,
}

impl Orphans {
    pub fn of_this_process() -> Self {
        let main = std::process::id();
        // Without CONFIG_PROC_CHILDREN there is no such file, and all of /proc is searched.
        let list = File::open(format!("/proc/self/task/{main}/children")).ok();
        Orphans { main, list }
    }

    /// Whether leaders have to be told from orphans.
    pub fn lists_leaders(&self) -> bool {
        self.list.is_none()
    }

    /// Whether there is certainly none; the list tells of those that have ended, too.
    pub fn are_none(&self) -> bool {
        let list = self.list.as_ref();
        list.is_some_and(|list| matches!(list.read_at(&mut [0; 64], 0), Ok(0)))
    }

    /// Roots of what tasks left behind, those that have ended reaped. `leader` knows the
    /// processes that were started here.
    pub fn roots(&self, leader: impl Fn(u32) -> bool) -> Vec<u32> {
        let roots = match &self.list {
            Some(list) => read_list(list),
            None => children_by_search(self.main),
        };
        let mine = |pid: &u32| !leader(*pid) && !reap(*pid);
        roots.into_iter().filter(mine).collect()
    }
}

/// The processes under `root`, itself first.
pub fn tree(root: u32) -> Vec<u32> {
    let mut seen = HashSet::from([root]);
    let mut all = vec![root];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        next += 1;
        all.extend(children(pid).into_iter().filter(|child| seen.insert(*child)));
    }
    all
}

/// Every process under this one, found by searching all of /proc.
pub fn descendants() -> Vec<u32> {
    let mut by_parent: HashMap<u32, Vec<u32>> = HashMap::new();
    for shown in everyone().filter_map(show) {
        by_parent.entry(shown.parent).or_default().push(shown.pid);
    }
    let mut all = by_parent.remove(&std::process::id()).unwrap_or_default();
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        next += 1;
        all.extend(by_parent.remove(&pid).unwrap_or_default());
    }
    all
}

pub fn kill(pid: u32) {
    // One that is gone by now is as good as killed.
    if let Some(pid) = to_pid(pid) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

pub fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// True if it had ended and was a child of this process.
fn reap(pid: u32) -> bool {
    let ended = rustix::process::waitpid(to_pid(pid), WaitOptions::NOHANG);
    matches!(ended, Ok(Some(_)))
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut all = Vec::new();
    for thread in threads.flatten() {
        match File::open(thread.path().join("children")) {
            Ok(list) => all.extend(read_list(&list)),
            Err(_) => return children_by_search(pid),
        }
    }
    all
}

fn children_by_search(parent: u32) -> Vec<u32> {
    let shown = everyone().filter_map(show);
    shown.filter(|shown| shown.parent == parent).map(|shown| shown.pid).collect()
}

fn read_list(list: &File) -> Vec<u32> {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = list.read_at(&mut piece, text.len() as u64) {
        text.extend_from_slice(&piece[..length]);
        if length < 1024 {
            break;
        }
    }
    let words = text.split(|byte| *byte == b' ').filter_map(|word| std::str::from_utf8(word).ok());
    words.filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_child_is_shown_with_its_parent_group_and_marks() {
        let mut child = Command::new("sleep")
            .arg("100")
            .env(MARK_NAME, "here")
            .env(FENCE_NAME, "42")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let shown = show(child.id()).unwrap();
        assert_eq!(shown.parent, std::process::id());
        assert!(!shown.zombie);
        assert_eq!(show(child.id()), Some(shown), "its start does not change");
        assert!(descendants().contains(&child.id()));
        assert!(tree(std::process::id()).contains(&child.id()));
        let marks = Marks { supervisor: Some(b"here".to_vec()), fence: Some(42) };
        // A parent goes on a moment before the kernel shows the environment of an exec.
        let shown = (0..1_000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            marks_of(child.id()) == marks
        });
        assert!(shown, "{:?}", marks_of(child.id()));
        kill(child.id());
        child.wait().unwrap();
        assert_eq!(show(child.id()), None);
        assert_eq!(marks_of(child.id()), Marks::default());
    }
}
