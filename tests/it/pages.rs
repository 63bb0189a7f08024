//! The pipelines that the pages show to readers: each of them compiles without a word.

use std::fs;
use std::path::Path;

const PAGES: [&str; 2] = ["README.md", "docs/pipelines.md"];

/// The YAML blocks of a page, each with the line where it begins.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in text.lines().enumerate() {
        match (&mut open, line) {
            (None, "```yaml") => open = Some((at + 2, String::new())),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some((_, block)), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn pipelines_on_pages_compile() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for page in PAGES {
        let text = fs::read_to_string(root.join(page)).expect("the page is there");
        let blocks = blocks(&text);
        assert!(blocks.len() > 2, "{page} shows only {} pipelines", blocks.len());
        for (line, block) in blocks {
            let found = dagmar_pipeline::lint(&format!("{page}, from line {line}"), &block);
            assert!(found.iter().next().is_none(), "{}", found.render(false));
        }
    }
}

#[test]
fn blocks_are_cut_out_with_their_place() {
    let page = "a\n```yaml\nsteps:\n  b: {}\n```\n```sh\nc\n```\n```yaml\nd\n```\n";
    let found = blocks(page);
    assert_eq!(found, [(3, "steps:\n  b: {}\n".to_owned()), (10, "d\n".to_owned())]);
}
