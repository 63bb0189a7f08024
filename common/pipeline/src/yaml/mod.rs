//! YAML as a generic tree with spans: the only place, with its loader, that knows YAML.

mod load;
mod scalar;

pub(crate) use load::load;
pub(crate) use scalar::{Scalar, to_json};

use std::borrow::Cow;

use crate::source::{Span, Spanned};

/// All nodes of one document. An alias is the very node of its anchor, so a tree is never larger
/// than its text.
#[derive(Debug, Default)]
pub(crate) struct Tree<'t> {
    nodes: Vec<Node<'t>>,
    root: NodeId,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct NodeId(u32);

#[derive(Debug)]
struct Node<'t> {
    span: Span,
    has_anchor: bool,
    content: Content<'t>,
}

#[derive(Debug)]
enum Content<'t> {
    Text {
        text: Cow<'t, str>,
        is_plain: bool,
    },
    List(Vec<NodeId>),
    /// In order of the text; keys are texts, and each stands once.
    Map(Vec<(NodeId, NodeId)>),
    /// Something that was reported already; readers pass over it in silence.
    Broken,
}

/// One node of a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Yaml<'t> {
    tree: &'t Tree<'t>,
    id: NodeId,
}

/// What a node is; the reader's way to look at one.
#[derive(Debug)]
pub(crate) enum View<'t> {
    Scalar(Scalar<'t>),
    List(List<'t>),
    Map(Map<'t>),
    Broken,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct List<'t> {
    tree: &'t Tree<'t>,
    items: &'t [NodeId],
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Map<'t> {
    tree: &'t Tree<'t>,
    entries: &'t [(NodeId, NodeId)],
    pub span: Span,
}

impl<'t> Tree<'t> {
    pub fn root(&'t self) -> Yaml<'t> {
        Yaml { tree: self, id: self.root }
    }
}

impl<'t> Yaml<'t> {
    pub fn span(self) -> Span {
        self.node().span
    }

    pub fn has_anchor(self) -> bool {
        self.node().has_anchor
    }

    pub fn view(self) -> View<'t> {
        let Yaml { tree, .. } = self;
        let node = self.node();
        match &node.content {
            Content::Text { text, is_plain } => {
                View::Scalar(Scalar { text, is_plain: *is_plain, span: node.span })
            }
            Content::List(items) => View::List(List { tree, items }),
            Content::Map(entries) => View::Map(Map { tree, entries, span: node.span }),
            Content::Broken => View::Broken,
        }
    }

    /// For messages: `a list`, `an integer`.
    pub fn kind(self) -> &'static str {
        match self.view() {
            View::Scalar(scalar) => scalar.kind(),
            View::List(_) => "a list",
            View::Map(_) => "a mapping",
            View::Broken => "something broken",
        }
    }

    fn node(self) -> &'t Node<'t> {
        &self.tree.nodes[self.id.0 as usize]
    }
}

impl<'t> List<'t> {
    pub fn iter(self) -> impl Iterator<Item = Yaml<'t>> {
        self.items.iter().map(move |id| Yaml { tree: self.tree, id: *id })
    }

    pub fn is_empty(self) -> bool {
        self.items.is_empty()
    }
}

impl<'t> Map<'t> {
    pub fn iter(self) -> impl Iterator<Item = (Spanned<&'t str>, Yaml<'t>)> {
        self.entries.iter().map(move |(key, value)| {
            let node = &self.tree.nodes[key.0 as usize];
            let value = Yaml { tree: self.tree, id: *value };
            (Spanned { value: node.content.text(), span: node.span }, value)
        })
    }

    pub fn is_empty(self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(self) -> usize {
        self.entries.len()
    }
}

impl Content<'_> {
    fn text(&self) -> &str {
        match self {
            Content::Text { text, .. } => text,
            Content::List(_) | Content::Map(_) | Content::Broken => "",
        }
    }
}
