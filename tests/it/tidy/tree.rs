//! The tree as text: every file a reader of the repository sees, and which of them are tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::rust::{self, Source};

/// All text files of the repository, sorted by path.
pub struct Tree {
    pub files: Vec<File>,
}

/// One file under its path from the root, with `/` between.
pub struct File {
    pub path: String,
    pub text: String,
    /// A test, or compiled for tests only.
    pub is_test: bool,
    /// What a `.rs` file is made of.
    source: Option<Source>,
}

impl File {
    fn new(path: &str, text: String) -> Self {
        let source = path.ends_with(".rs").then(|| Source::parse(path, &text));
        File { path: path.to_owned(), text, is_test: false, source }
    }

    /// A sample for tests of rules.
    pub fn page(path: &str, text: &str) -> Self {
        File::new(path, text.to_owned())
    }
}

impl Tree {
    /// Read and parsed once for all rules.
    pub fn get() -> &'static Tree {
        static TREE: LazyLock<Tree> = LazyLock::new(Tree::read);
        &TREE
    }

    fn read() -> Self {
        let root = root();
        let mut paths = Vec::new();
        walk(&root, &mut paths);
        paths.sort();
        let mut files: Vec<File> = paths.iter().filter_map(|path| read(&root, path)).collect();
        mark_tests(&mut files);
        Tree { files }
    }

    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// What people write by hand and read as code.
    pub fn code(&self) -> impl Iterator<Item = &File> {
        const ENDS: [&str; 4] = [".rs", ".py", ".proto", ".ci/run"];
        self.files.iter().filter(|file| ENDS.iter().any(|end| file.path.ends_with(end)))
    }

    pub fn parsed(&self) -> impl Iterator<Item = (&File, &Source)> {
        self.files.iter().filter_map(|file| Some((file, file.source.as_ref()?)))
    }

    /// The text of one file, nothing if it is not there.
    pub fn text(&self, path: &str) -> &str {
        self.files.iter().find(|file| file.path == path).map_or("", |file| &file.text)
    }

    pub fn under(&self, folder: &str) -> Vec<&File> {
        self.files.iter().filter(|file| file.path.starts_with(folder)).collect()
    }
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests crate lies in the repository").to_owned()
}

/// Build output and what runs leave behind is no part of the tree; cargo marks its own.
fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the tree can be read") {
        let path = entry.expect("the tree can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() || name == ".git" {
            continue;
        }
        if path.is_file() {
            paths.push(path);
            continue;
        }
        let hidden = name.starts_with('.') && name != ".ci";
        let made = ["target", "node_modules", "__pycache__"].contains(&name.as_str());
        if !hidden && !made && !path.join("CACHEDIR.TAG").exists() {
            walk(&path, paths);
        }
    }
}

fn read(root: &Path, path: &Path) -> Option<File> {
    let name = path.strip_prefix(root).ok()?.to_string_lossy().replace('\\', "/");
    // What is no text (golden bytes, pictures) has no lines to name.
    let text = String::from_utf8(fs::read(path).ok()?).ok()?;
    Some(File::new(&name, text))
}

/// Files named for tests, files of the tests crate, and files behind a `#[cfg(test)] mod name;`.
fn mark_tests(files: &mut [File]) {
    let behind: BTreeSet<String> = files
        .iter()
        .filter_map(|file| Some((file, file.source.as_ref()?)))
        .flat_map(|(file, source)| {
            let folder = rust::folder_of_children(&file.path);
            source.test_modules.iter().map(move |name| format!("{folder}{name}"))
        })
        .collect();
    for file in files {
        let is_child = behind.iter().any(|module| {
            let rest = file.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
        file.is_test = is_child || named_for_tests(&file.path);
    }
}

fn named_for_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.starts_with("tests/") || path.contains("/tests/")
}

#[test]
fn the_tree_is_seen_whole() {
    let tree = Tree::get();
    for path in ["Cargo.toml", "common/src/lib.rs", "tests/it/main.rs", ".ci/run", "README.md"] {
        assert!(tree.files.iter().any(|file| file.path == path), "{path} was not found");
    }
    assert!(tree.files.iter().all(|file| !file.path.starts_with("target/")));
    assert!(tree.files.iter().all(|file| !file.path.starts_with(".git/")));
}

#[test]
fn files_behind_a_test_module_are_tests() {
    let mut files = [
        File::new("a/src/lib.rs", "mod room; #[cfg(test)] mod builders;".to_owned()),
        File::new("a/src/room.rs", "#[cfg(test)] mod samples;".to_owned()),
        File::new("a/src/builders.rs", "".to_owned()),
        File::new("a/src/room/samples/mod.rs", "".to_owned()),
        File::new("a/src/room/tests.rs", "".to_owned()),
        File::new("a/src/room/other.rs", "".to_owned()),
    ];
    mark_tests(&mut files);
    let marks: Vec<bool> = files.iter().map(|file| file.is_test).collect();
    assert_eq!(marks, [false, false, true, true, true, false]);
}
