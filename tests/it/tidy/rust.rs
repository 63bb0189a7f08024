//! One Rust file as the rules see it: its tokens, its functions, and what in it is for tests.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItem, Item, Meta, Signature, Stmt, TraitItem};

/// What is known of a file after one parse.
pub struct Source {
    /// All tokens in order, brackets among them.
    pub tokens: Vec<Token>,
    pub functions: Vec<Function>,
    /// Modules in files of their own that are compiled for tests only.
    pub test_modules: Vec<String>,
    /// Lines of items that are compiled for tests only.
    tests: Vec<(usize, usize)>,
}

pub struct Token {
    pub text: String,
    pub line: usize,
}

pub struct Function {
    pub name: String,
    pub line: usize,
    /// From its `fn` to its closing bracket.
    pub lines: usize,
}

impl Source {
    pub fn parse(path: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| {
            panic!("{path}:{}: no Rust file: {error}", error.span().start().line)
        });
        let tokens = text.parse::<TokenStream>().expect("what syn parses can be cut into tokens");
        let mut source = Source {
            tokens: Vec::new(),
            functions: Vec::new(),
            test_modules: Vec::new(),
            tests: Vec::new(),
        };
        flatten(tokens, &mut source.tokens);
        source.visit_file(&file);
        source
    }

    pub fn is_test_line(&self, line: usize) -> bool {
        self.tests.iter().any(|&(from, to)| from <= line && line <= to)
    }

    /// The lines on which these tokens stand one after the other.
    pub fn find<'a>(&'a self, words: &'a [&str]) -> impl Iterator<Item = (usize, &'a [Token])> {
        self.tokens.windows(words.len()).enumerate().filter_map(move |(at, window)| {
            let same = window.iter().zip(words).all(|(token, word)| token.text == *word);
            same.then(|| (window[0].line, &self.tokens[at..]))
        })
    }

    fn function(&mut self, signature: &Signature, block: &Block) {
        let line = signature.fn_token.span.start().line;
        let end = block.brace_token.span.close().end().line;
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line,
            lines: end + 1 - line,
        });
    }

    fn mark(&mut self, attributes: &[Attribute], of: impl Spanned) {
        if attributes.iter().any(is_for_tests) {
            self.tests.push((of.span().start().line, of.span().end().line));
        }
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item(&mut self, item: &'ast Item) {
        self.mark(attributes_of(item), item);
        match item {
            Item::Fn(item) => self.function(&item.sig, &item.block),
            Item::Mod(item) if item.content.is_none() && item.attrs.iter().any(is_for_tests) => {
                self.test_modules.push(item.ident.to_string());
            }
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if let ImplItem::Fn(item) = item {
            self.mark(&item.attrs, item);
            self.function(&item.sig, &item.block);
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if let TraitItem::Fn(item) = item
            && let Some(block) = &item.default
        {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item(self, item);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Local(local) = statement {
            self.mark(&local.attrs, local);
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        functions_in(call.tokens.clone(), &mut self.functions);
    }
}

/// `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`; not `any(test, …)`, which users get too.
fn is_for_tests(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            let words: Vec<String> = cut(list.tokens.clone());
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            words == ["test"] || words.starts_with(&["all", "(", "test"])
        }
        _ => false,
    }
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Macros such as `proptest!` hold functions that no parser of items sees.
fn functions_in(tokens: TokenStream, functions: &mut Vec<Function>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, tree) in trees.iter().enumerate() {
        if let TokenTree::Group(group) = tree {
            functions_in(group.stream(), functions);
        }
        let (true, Some(TokenTree::Ident(name))) = (is_word(tree, "fn"), trees.get(at + 1)) else {
            continue;
        };
        let body = trees[at..].iter().find_map(|tree| match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
            _ => None,
        });
        if let Some(body) = body {
            let line = tree.span().start().line;
            let lines = body.span_close().end().line + 1 - line;
            functions.push(Function { name: name.to_string(), line, lines });
        }
    }
}

fn is_word(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == word)
}

fn cut(tokens: TokenStream) -> Vec<String> {
    let mut flat = Vec::new();
    flatten(tokens, &mut flat);
    flat.into_iter().map(|token| token.text).collect()
}

fn flatten(tokens: TokenStream, flat: &mut Vec<Token>) {
    for tree in tokens {
        let line = tree.span().start().line;
        let TokenTree::Group(group) = tree else {
            flat.push(Token { text: tree.to_string(), line });
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        flat.push(Token { text: open.to_owned(), line });
        flatten(group.stream(), flat);
        flat.push(Token { text: close.to_owned(), line: group.span_close().start().line });
    }
}

/// Where the modules that a file declares lie: beside it for `lib.rs`, `main.rs` and `mod.rs`,
/// else in a folder of its name.
pub fn folder_of_children(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => format!("{folder}/"),
        _ => format!("{folder}/{}/", name.trim_end_matches(".rs")),
    }
}

#[test]
fn lines_of_tests_are_known() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n\
                #[cfg(any(test, unix))]\nfn d() {}\n#[test]\nfn e() {}\n";
    let source = Source::parse("sample.rs", text);
    let marks: Vec<bool> = (1..=10).map(|line| source.is_test_line(line)).collect();
    let (no, yes) = (false, true);
    assert_eq!(marks, [no, yes, yes, yes, yes, no, no, no, yes, yes]);
}

#[test]
fn functions_are_found_in_impls_traits_and_macros() {
    let text = "impl A { fn one() {\n} }\ntrait B { fn two() {} fn none(); }\n\
                sample! { fn three(x in 0..9) {\n\n} }\nfn four() { fn five() {} }";
    let source = Source::parse("sample.rs", text);
    let found: Vec<(&str, usize, usize)> =
        source.functions.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
    let wanted = [("one", 1, 2), ("two", 3, 1), ("three", 4, 3), ("four", 7, 1), ("five", 7, 1)];
    assert_eq!(found, wanted);
}
