//! From text to tree: every fault of YAML itself, and everything that would make it grow.

use std::collections::{HashMap, HashSet};

use dagmar_common::limits::{PIPELINE_DEPTH_MAX, PIPELINE_YAML_NODES_MAX};
use serde_saphyr::granit_parser::{self, ErrorKind, Event, Parser, ScalarStyle, ScanError, Tag};

use super::{Content, Node, NodeId, Tree};
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::Span;

/// Mappings with more keys are searched for duplicates by hash.
const KEYS_COMPARED_MAX: usize = 16;
const KEY_BYTES_MAX: usize = 4_096;

/// The one document of the text; None if there is none, or none that can be read on.
pub(crate) fn load<'t>(text: &'t str, report: &mut Report<'_>) -> Option<Tree<'t>> {
    load_at_most(text, PIPELINE_YAML_NODES_MAX as u64, report)
}

fn load_at_most<'t>(text: &'t str, most: u64, report: &mut Report<'_>) -> Option<Tree<'t>> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        simple_key_max_lookahead: KEY_BYTES_MAX,
        flow_nesting_limit: PIPELINE_DEPTH_MAX,
        block_nesting_limit: PIPELINE_DEPTH_MAX,
    };
    let mut loader = Loader {
        report,
        most,
        tree: Tree::default(),
        open: Vec::new(),
        anchors: HashMap::new(),
        expanded: 0,
        documents: 0,
        root: None,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let is_readable = match event {
            Ok((event, span)) => {
                let range = span.byte_range().unwrap_or_default();
                let tag = span.tag_span().and_then(|span| span.byte_range()).map(Span::new);
                loader.take(event, Span::new(range), tag)
            }
            Err(error) => {
                loader.report_syntax(&error, text);
                false
            }
        };
        if !is_readable {
            return None;
        }
    }
    let root = loader.root?;
    Some(Tree { root, ..loader.tree })
}

struct Loader<'l, 'r, 't> {
    report: &'l mut Report<'r>,
    most: u64,
    tree: Tree<'t>,
    open: Vec<Open>,
    /// Of every anchor whose node is whole.
    anchors: HashMap<usize, Whole>,
    /// Nodes that a reader meets who follows every alias.
    expanded: u64,
    documents: u32,
    root: Option<NodeId>,
}

/// A collection whose end has not come.
struct Open {
    start: Span,
    anchor: usize,
    is_map: bool,
    items: Vec<NodeId>,
    /// With its aliases followed.
    size: u64,
    height: usize,
}

/// A node with all that is under it.
#[derive(Clone, Copy)]
struct Whole {
    id: NodeId,
    size: u64,
    height: usize,
}

impl<'t> Loader<'_, '_, 't> {
    /// False if reading on makes no sense.
    fn take(&mut self, event: Event<'t>, span: Span, tag_span: Option<Span>) -> bool {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second YAML document begins here; a file holds one pipeline";
                    self.report.add(
                        Finding::error(Code::SeveralDocuments, span, message)
                            .help("move it to a file of its own"),
                    );
                    return false;
                }
                true
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let is_plain = self.check_tag(tag.as_deref(), tag_span, is_plain);
                self.leaf(Content::Text { text, is_plain }, span, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), tag_span, false);
                self.begin(span, anchor, false)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), tag_span, false);
                self.begin(span, anchor, true)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::UnresolvedAlias(name) => {
                let message = format!("`*{}` has no anchor before it", shown(&name));
                let help = format!("mark what it stands for with `&{}`", shown(&name));
                self.report.add(Finding::error(Code::Alias, span, message).help(help));
                self.leaf(Content::Broken, span, 0)
            }
            _ => true,
        }
    }

    fn leaf(&mut self, content: Content<'t>, span: Span, anchor: usize) -> bool {
        let id = self.push(Node { span, has_anchor: anchor != 0, content });
        self.place(Whole { id, size: 1, height: 1 }, 1, anchor, span)
    }

    fn begin(&mut self, start: Span, anchor: usize, is_map: bool) -> bool {
        self.open.push(Open { start, anchor, is_map, items: Vec::new(), size: 1, height: 1 });
        true
    }

    fn end(&mut self, span: Span) -> bool {
        let Some(open) = self.open.pop() else { return true };
        let content = match open.is_map {
            true => self.mapping(&open.items),
            false => Content::List(open.items),
        };
        let whole_span = Span { start: open.start.start, end: span.end.max(open.start.end) };
        let id = self.push(Node { span: whole_span, has_anchor: open.anchor != 0, content });
        let whole = Whole { id, size: open.size, height: open.height };
        self.place(whole, 1, open.anchor, whole_span)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> bool {
        let Some(whole) = self.anchors.get(&anchor).copied() else {
            let message = "this alias stands inside what it stands for";
            self.report.add(Finding::error(Code::Alias, span, message));
            return self.leaf(Content::Broken, span, 0);
        };
        self.place(whole, whole.size, 0, span)
    }

    /// Puts a whole node where it belongs; `news` are the nodes that were not counted yet, all of
    /// its anchor's for an alias, so that no walk over the tree grows beyond its bounds.
    fn place(&mut self, whole: Whole, news: u64, anchor: usize, span: Span) -> bool {
        if anchor != 0 {
            self.anchors.insert(anchor, whole);
        }
        if self.open.len() + whole.height > PIPELINE_DEPTH_MAX + 1 {
            self.report_depth(span);
            return false;
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(whole.id);
            return true;
        };
        parent.items.push(whole.id);
        parent.size += whole.size;
        parent.height = parent.height.max(whole.height + 1);
        self.expanded += news;
        if self.expanded > self.most {
            let message = format!("more than {} YAML nodes, aliases followed", self.most);
            self.report.add(
                Finding::error(Code::TooLarge, span, message)
                    .help("larger pipelines come through the API as a graph"),
            );
            return false;
        }
        true
    }

    fn push(&mut self, node: Node<'t>) -> NodeId {
        self.tree.nodes.push(node);
        NodeId(self.tree.nodes.len() as u32 - 1)
    }

    /// Keys and values in turn, to entries: each key once, merge keys followed.
    fn mapping(&mut self, items: &[NodeId]) -> Content<'t> {
        let mut entries = Vec::with_capacity(items.len() / 2);
        let mut merges = Vec::new();
        for pair in items.chunks_exact(2) {
            let (key, value) = (pair[0], pair[1]);
            let node = &self.tree.nodes[key.0 as usize];
            match &node.content {
                Content::Text { text, is_plain: true } if text == "<<" => merges.push(value),
                Content::Text { .. } => entries.push((key, value)),
                Content::Broken => {}
                Content::List(_) | Content::Map(_) => {
                    let message = "a key must be text";
                    self.report.add(Finding::error(Code::WrongType, node.span, message));
                }
            }
        }
        self.refuse_duplicates(&mut entries);
        for merge in merges {
            self.merge(merge, &mut entries);
        }
        Content::Map(entries)
    }

    fn refuse_duplicates(&mut self, entries: &mut Vec<(NodeId, NodeId)>) {
        let nodes = &self.tree.nodes;
        let key_of = |key: NodeId| nodes[key.0 as usize].content.text();
        let mut later = Vec::new();
        if entries.len() <= KEYS_COMPARED_MAX {
            for (place, (key, _)) in entries.iter().enumerate() {
                let earlier = &entries[..place];
                let first = earlier.iter().find(|(other, _)| key_of(*other) == key_of(*key));
                later.extend(first.map(|(first, _)| (place, *first)));
            }
        } else {
            let mut firsts: HashMap<&str, NodeId> = HashMap::with_capacity(entries.len());
            for (place, (key, _)) in entries.iter().enumerate() {
                match firsts.entry(key_of(*key)) {
                    std::collections::hash_map::Entry::Occupied(first) => {
                        later.push((place, *first.get()));
                    }
                    std::collections::hash_map::Entry::Vacant(free) => {
                        free.insert(*key);
                    }
                }
            }
        }
        for (place, first) in &later {
            let key = entries[*place].0;
            let message = format!("`{}` stands twice in one mapping", shown(key_of(key)));
            let span = nodes[key.0 as usize].span;
            let finding = Finding::error(Code::DuplicateKey, span, message);
            self.report.add(finding.note(nodes[first.0 as usize].span, "first here"));
        }
        let dropped: HashSet<usize> = later.into_iter().map(|(place, _)| place).collect();
        if !dropped.is_empty() {
            let mut place = 0;
            entries.retain(|_| {
                place += 1;
                !dropped.contains(&(place - 1))
            });
        }
    }

    /// `<<: *defaults`, or a list of such, earlier before later; what is written itself wins.
    fn merge(&mut self, value: NodeId, entries: &mut Vec<(NodeId, NodeId)>) {
        let nodes = &self.tree.nodes;
        let node = &nodes[value.0 as usize];
        let sources = match &node.content {
            Content::Map(_) => vec![value],
            Content::List(items) => items.clone(),
            Content::Broken => return,
            Content::Text { .. } => vec![value],
        };
        let mut known: HashSet<&str> =
            entries.iter().map(|(key, _)| nodes[key.0 as usize].content.text()).collect();
        for source in sources {
            match &nodes[source.0 as usize].content {
                Content::Map(merged) => {
                    self.expanded += merged.len() as u64;
                    for (key, value) in merged {
                        if known.insert(nodes[key.0 as usize].content.text()) {
                            entries.push((*key, *value));
                        }
                    }
                }
                Content::Broken => {}
                Content::List(_) | Content::Text { .. } => {
                    let message = "`<<` merges a mapping or a list of mappings";
                    self.report.add(Finding::error(Code::WrongType, node.span, message));
                }
            }
        }
    }

    /// Whether a scalar is to be read by the core schema. Tags of programs are refused.
    fn check_tag(&mut self, tag: Option<&Tag>, span: Option<Span>, is_plain: bool) -> bool {
        let Some(tag) = tag else { return is_plain };
        match tag.core_suffix() {
            Some("str") => false,
            Some(_) => true,
            None if tag.original() == "!" => false,
            None => {
                let message = format!("the tag `{}` is not supported", shown(&tag.original()));
                let finding = Finding::error(Code::Tag, span.unwrap_or_default(), message);
                self.report.add(finding.help("write the plain value"));
                false
            }
        }
    }

    fn report_depth(&mut self, span: Span) {
        let message = format!("nesting deeper than {PIPELINE_DEPTH_MAX}");
        self.report.add(Finding::error(Code::TooLarge, span, message));
    }

    fn report_syntax(&mut self, error: &ScanError, text: &str) {
        let mut offset = error.marker().byte_offset().unwrap_or_default().min(text.len());
        // Found behind it; what has to be changed is the tab.
        offset -= usize::from(text[..offset].ends_with('\t'));
        let length = text[offset..].chars().next().map_or(0, char::len_utf8);
        let span = Span::new(offset..offset + length);
        let (message, help) = match error.kind() {
            ErrorKind::RecursionLimitExceeded => return self.report_depth(span),
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart => {
                ("tabs are not allowed for indentation".to_owned(), Some("indent with spaces"))
            }
            ErrorKind::UnexpectedCharacter { character } if character.is_control() => {
                let number = *character as u32;
                (format!("the control character U+{number:04X} is not allowed"), None)
            }
            ErrorKind::MappingValueNotAllowed => (
                "this is no valid YAML: a `:` is not allowed here".to_owned(),
                Some("put text that holds `: ` in quotes, and check the indentation"),
            ),
            _ => (format!("this is no valid YAML: {}", error.info()), None),
        };
        let finding = Finding::error(Code::Syntax, span, message);
        self.report.add(finding.help_if(help.map(str::to_owned)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::yaml::scalar::to_json;

    fn read(text: &str, most: u64) -> (Option<String>, Vec<String>) {
        let source = Source::new("f", text);
        let mut report = Report::new(&source);
        let tree = load_at_most(text, most, &mut report);
        let json = tree.as_ref().and_then(|tree| to_json(tree.root(), &mut report));
        let found = report.finish();
        let found = found.iter().map(|diagnostic| {
            let place = diagnostic.place.as_ref().map_or((0, 0), |at| (at.line, at.column));
            format!("{}:{} {} {}", place.0, place.1, diagnostic.code, diagnostic.message)
        });
        (json.map(|json| json.to_string()), found.collect())
    }

    #[track_caller]
    fn check(text: &str, json: &str) {
        assert_eq!(read(text, 1_000), (Some(json.to_owned()), vec![]), "{text}");
    }

    #[track_caller]
    fn refused(text: &str, expected: &[&str]) {
        assert_eq!(read(text, 1_000).1, expected, "{text}");
    }

    #[test]
    fn reads_what_pipelines_are_written_in() {
        check("a: 1\nb: [x, 'y', \"z\"]\n", r#"{"a":1,"b":["x","y","z"]}"#);
        check("\u{feff}a: 1\r\nb: two\r\n", r#"{"a":1,"b":"two"}"#);
        check("a: |\n  echo\n  done\n", r#"{"a":"echo\ndone\n"}"#);
        check("---\na: !!str 5\n...\n", r#"{"a":"5"}"#);
        check("x: &a {k: 1}\ny: *a\n", r#"{"x":{"k":1},"y":{"k":1}}"#);
        let merged = "x: &a {k: 1, l: 2}\ny: {<<: *a, l: 3}\n";
        check(merged, r#"{"x":{"k":1,"l":2},"y":{"l":3,"k":1}}"#);
        let list = "a: &a {k: 1}\nb: &b {k: 2, l: 2}\nc: {<<: [*a, *b]}\n";
        check(list, r#"{"a":{"k":1},"b":{"k":2,"l":2},"c":{"k":1,"l":2}}"#);
    }

    #[test]
    fn an_alias_bomb_is_stopped_where_it_goes_off() {
        let mut text = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for (last, next) in "abcdefgh".chars().zip("bcdefghi".chars()) {
            let eight = format!("*{last},").repeat(9);
            text.push_str(&format!("{next}: &{next} [{eight}]\n"));
        }
        refused(&text, &["4:8 E0107 more than 1000 YAML nodes, aliases followed"]);
    }

    #[test]
    fn the_budget_counts_every_node_once() {
        // A list of nine and the list itself stand in one list: eleven below the root.
        let text = "[[1, 2, 3, 4, 5, 6, 7, 8, 9], 10]";
        assert_eq!(read(text, 11).1, [""; 0]);
        assert_eq!(read(text, 10).1.len(), 1);
    }

    #[test]
    fn depth_is_bounded_written_and_through_aliases() {
        let deep = "[".repeat(20_000);
        assert_eq!(read(&deep, 1_000).1, ["1:65 E0107 nesting deeper than 64"]);
        let block = (0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>();
        assert_eq!(read(&block, 1_000).1, ["65:65 E0107 nesting deeper than 64"]);
        let half = format!("{}{}", "[".repeat(40), "]".repeat(40));
        let chained = format!("a: &a {half}\nb: {}*a{}\n", "[".repeat(40), "]".repeat(40));
        assert_eq!(read(&chained, 1_000).1, ["2:44 E0107 nesting deeper than 64"]);
    }

    #[test]
    fn faults_of_yaml_itself() {
        refused("a: 1\na: 2\n", &["2:1 E0103 `a` stands twice in one mapping"]);
        refused("a: *nope\n", &["1:4 E0108 `*nope` has no anchor before it"]);
        refused("x: &a [*a]\n", &["1:8 E0108 this alias stands inside what it stands for"]);
        refused(
            "x: !!python/object/apply:os.system [ls]\n",
            &["1:4 E0109 the tag `!!python/object/apply:os.system` is not supported"],
        );
        refused("a:\n\tb: 1\n", &["2:1 E0101 tabs are not allowed for indentation"]);
        refused(
            "a: 1\n---\nb: 2\n",
            &["2:1 E0106 a second YAML document begins here; a file holds one pipeline"],
        );
        refused("[a]: 1\n", &["1:1 E0104 a key must be text"]);
        refused("a: \"\0\"\n", &["1:5 E0101 the control character U+0000 is not allowed"]);
    }
}
