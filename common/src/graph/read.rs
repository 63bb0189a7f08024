//! Reading a graph as it comes: pieces of its canonical bytes, each straight into rows.

use std::ops::Range;

use prost::Message;
use sha2::Digest as _;

use super::codec::{self, DecodeError, malformed, wire};
use super::{EdgeKind, Graph, NodeKind, Section};
use crate::ids::{CompositeNo, Digest, NodeNo, TaskNo};
use crate::limits::SECTION_NODES_MAX;
use crate::time::Span;

/// The numbers of `graph.proto` and how each of them is written.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;
/// A task or composite whose reference has not come yet.
const UNKNOWN: u32 = u32::MAX;

/// Takes the bytes of one graph in pieces of any length, and nothing but the canonical ones.
#[derive(Debug, Default)]
pub(super) struct Reader {
    graph: Graph,
    hash: sha2::Sha256,
    /// What came and is no whole word yet.
    rest: Vec<u8>,
    /// Of the last field that began.
    field: u64,
    section: Option<OpenSection>,
}

/// A section of which not all has come.
#[derive(Debug)]
struct OpenSection {
    rows: Section,
    /// Bytes behind the column that is read.
    left: u64,
    field: u64,
    column_left: usize,
    /// The first node that may still need a reference.
    referring: usize,
}

impl Reader {
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.hash.update(bytes);
        let mut rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            let used = self.read(bytes)?;
            rest.extend_from_slice(&bytes[used..]);
        } else {
            rest.extend_from_slice(bytes);
            let used = self.read(&rest)?;
            rest.drain(..used);
        }
        self.rest = rest;
        Ok(())
    }

    /// All has come: the graph as it was written, not verified yet, and its name.
    pub fn finish(self) -> Result<(Graph, Digest), DecodeError> {
        if self.field == 0 || !self.rest.is_empty() || self.section.is_some() {
            return Err(malformed("they end too early"));
        }
        Ok((self.graph, Digest(self.hash.finalize().into())))
    }

    /// Reads whole words and says how many bytes they took.
    fn read(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let here = match &mut self.section {
                Some(open) if open.column_left > 0 => open.column(rest)?,
                Some(open) => open.begin_column(rest)?,
                None => self.begin_field(rest)?,
            };
            used += here;
            let is_whole = |open: &mut OpenSection| open.left == 0 && open.column_left == 0;
            if let Some(open) = self.section.take_if(is_whole) {
                self.graph.sections.push(open.finish()?);
            }
            if here == 0 {
                return Ok(used);
            }
        }
    }

    /// One field of the graph; of a section only its head.
    fn begin_field(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        let Some((tag, mut used)) = varint(bytes)? else { return Ok(0) };
        let (field, is_first) = (tag >> 3, self.field == 0);
        if is_first && tag != (1 << 3 | VARINT) {
            return Err(malformed("they do not begin with a version"));
        }
        let repeats = matches!(field, 4..=7);
        if field > 8 || field < self.field || (field == self.field && !repeats) {
            return Err(DecodeError::NotCanonical);
        }
        if tag & 7 != if matches!(field, 1 | 8) { VARINT } else { LENGTH } {
            return Err(malformed("a field is not of its type"));
        }
        let Some((value, length)) = varint(&bytes[used..])? else { return Ok(0) };
        used += length;
        match field {
            1 if value != u64::from(codec::VERSION) => {
                let found = u32::try_from(value).unwrap_or(u32::MAX);
                return Err(DecodeError::Newer { found });
            }
            1 => {}
            8 => self.graph.time_limit = Some(Span(value)),
            7 => self.section = Some(OpenSection::new(value)),
            _ => {
                let length = usize::try_from(value).unwrap_or(usize::MAX);
                let Some(body) = bytes[used..].get(..length) else { return Ok(0) };
                self.table(field, body)?;
                used += length;
            }
        }
        self.field = field;
        Ok(used)
    }

    fn table(&mut self, field: u64, body: &[u8]) -> Result<(), DecodeError> {
        let text = || match std::str::from_utf8(body) {
            Ok("") => Err(DecodeError::NotCanonical),
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(malformed("a text that is none")),
        };
        match field {
            2 => self.graph.name = text()?,
            3 => self.graph.description = text()?,
            4 => self.graph.parameters.push(codec::parameter_from_wire(message(body)?)?),
            5 => self.graph.tasks.push(codec::task_from_wire(message(body)?)?),
            _ => self.graph.composites.push(codec::composite_from_wire(message(body)?)?),
        }
        Ok(())
    }
}

impl OpenSection {
    fn new(left: u64) -> Self {
        OpenSection { rows: Section::default(), left, field: 0, column_left: 0, referring: 0 }
    }

    fn begin_column(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        let Some((tag, used)) = varint(bytes)? else { return Ok(0) };
        let Some((length, more)) = varint(&bytes[used..])? else { return Ok(0) };
        let (field, used) = (tag >> 3, used + more);
        if field <= self.field || field > 8 || length == 0 {
            return Err(DecodeError::NotCanonical);
        }
        let left = self.left.checked_sub(used as u64).and_then(|left| left.checked_sub(length));
        match left {
            Some(left) if tag & 7 == LENGTH => self.left = left,
            _ => return Err(malformed("a column is longer than its section")),
        }
        self.field = field;
        self.column_left = length as usize;
        self.reserve();
        Ok(used)
    }

    /// Room for the column that begins, as far as its length tells how many rows it has.
    fn reserve(&mut self) {
        let most = self.column_left.min(SECTION_NODES_MAX);
        let (nodes, rows) = (self.rows.kinds.len(), &mut self.rows);
        match self.field {
            1 => rows.names.reserve_exact(most),
            2 => rows.name_ends.reserve_exact(most),
            3 => rows.kinds.reserve_exact(most),
            5 => rows.heads.reserve_exact(most),
            6 => rows.edge_ends.reserve_exact(nodes.min(most)),
            7 => {
                let edges = rows.edge_ends.last().map_or(0, |edges| *edges as usize);
                rows.targets.reserve_exact(edges.min(most));
            }
            8 => rows.edge_kinds.reserve_exact(most),
            _ => {}
        }
    }

    /// As many whole rows of the column as there are.
    fn column(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        let bytes = &bytes[..bytes.len().min(self.column_left)];
        let is_all = bytes.len() == self.column_left;
        let rows = &mut self.rows;
        let used = match self.field {
            1 => {
                let text = whole_text(bytes, is_all)?;
                rows.names.push_str(text);
                text.len()
            }
            2 => numbers(bytes, is_all, |length| push_end(&mut rows.name_ends, length))?,
            3 => each(bytes, &mut rows.kinds, kind)?,
            4 => numbers(bytes, is_all, |number| refer(rows, &mut self.referring, number))?,
            5 => each(bytes, &mut rows.heads, head)?,
            6 => numbers(bytes, is_all, |count| push_end(&mut rows.edge_ends, count))?,
            7 => numbers(bytes, is_all, |target| {
                rows.targets.push(NodeNo(target));
                Ok(())
            })?,
            _ => each(bytes, &mut rows.edge_kinds, edge_kind)?,
        };
        self.column_left -= used;
        Ok(used)
    }

    fn finish(mut self) -> Result<Section, DecodeError> {
        match next_referring(&self.rows, &mut self.referring) {
            Some(_) => Err(malformed("a node refers to nothing")),
            None => Ok(self.rows),
        }
    }
}

/// The next node from `from` on that needs a reference.
fn next_referring(rows: &Section, from: &mut usize) -> Option<usize> {
    let refers = |kind: &NodeKind| matches!(kind, NodeKind::Task(_) | NodeKind::Composite(_));
    let Range { start, end } = *from..rows.kinds.len();
    *from = rows.kinds[start..].iter().position(refers).map_or(end, |place| start + place);
    (*from < end).then_some(*from)
}

fn refer(rows: &mut Section, from: &mut usize, number: u32) -> Result<(), DecodeError> {
    let Some(place) = next_referring(rows, from) else {
        return Err(malformed("a reference belongs to no node"));
    };
    *from += 1;
    match &mut rows.kinds[place] {
        NodeKind::Task(task) => task.0 = number,
        NodeKind::Composite(composite) => composite.0 = number,
        NodeKind::Stub | NodeKind::Success | NodeKind::Fail => {}
    }
    Ok(())
}

fn kind(byte: u8) -> Result<NodeKind, DecodeError> {
    match wire::NodeKind::try_from(i32::from(byte)) {
        Ok(wire::NodeKind::Task) => Ok(NodeKind::Task(TaskNo(UNKNOWN))),
        Ok(wire::NodeKind::Composite) => Ok(NodeKind::Composite(CompositeNo(UNKNOWN))),
        Ok(wire::NodeKind::Stub) => Ok(NodeKind::Stub),
        Ok(wire::NodeKind::Success) => Ok(NodeKind::Success),
        Ok(wire::NodeKind::Fail) => Ok(NodeKind::Fail),
        Ok(wire::NodeKind::Unspecified) | Err(_) => Err(malformed("a node is of no known kind")),
    }
}

fn head(byte: u8) -> Result<bool, DecodeError> {
    match byte {
        0 | 1 => Ok(byte == 1),
        _ => Err(malformed("a node is neither head nor not")),
    }
}

fn edge_kind(byte: u8) -> Result<EdgeKind, DecodeError> {
    match wire::EdgeKind::try_from(i32::from(byte)) {
        Ok(wire::EdgeKind::Next) => Ok(EdgeKind::Next),
        Ok(wire::EdgeKind::OnFailure) => Ok(EdgeKind::OnFailure),
        Ok(wire::EdgeKind::Needs) => Ok(EdgeKind::Needs),
        Ok(wire::EdgeKind::Unspecified) | Err(_) => Err(malformed("an edge is of no known kind")),
    }
}

/// Lengths take one byte where offsets take four; in memory stand the offsets.
fn push_end(ends: &mut Vec<u32>, length: u32) -> Result<(), DecodeError> {
    let end = ends.last().copied().unwrap_or(0).checked_add(length);
    ends.push(end.ok_or(malformed("rows longer than can be counted"))?);
    Ok(())
}

/// A column of one byte a row.
fn each<T>(
    bytes: &[u8],
    column: &mut Vec<T>,
    row: impl Fn(u8) -> Result<T, DecodeError>,
) -> Result<usize, DecodeError> {
    for byte in bytes {
        column.push(row(*byte)?);
    }
    Ok(bytes.len())
}

/// A column of one number a row, as far as whole numbers are there.
fn numbers(
    bytes: &[u8],
    is_all: bool,
    mut row: impl FnMut(u32) -> Result<(), DecodeError>,
) -> Result<usize, DecodeError> {
    let mut used = 0;
    while used < bytes.len() {
        let Some((number, length)) = varint(&bytes[used..])? else {
            return if is_all { Err(malformed("a number without end")) } else { Ok(used) };
        };
        used += length;
        row(u32::try_from(number).map_err(|_| malformed("a number out of range"))?)?;
    }
    Ok(used)
}

/// The part of `bytes` that ends with a whole character.
fn whole_text(bytes: &[u8], is_all: bool) -> Result<&str, DecodeError> {
    let whole = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) if error.error_len().is_none() && !is_all => &bytes[..error.valid_up_to()],
        Err(_) => return Err(malformed("a name that is no text")),
    };
    std::str::from_utf8(whole).map_err(|_| malformed("a name that is no text"))
}

/// A number in its shortest form and its length; None if more bytes must come first.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, DecodeError> {
    let mut number = 0_u64;
    for (place, byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        if place > 9 || (place == 9 && bits > 1) {
            return Err(malformed("a number without end"));
        }
        number |= bits << (7 * place);
        if byte & 0x80 == 0 {
            let is_shortest = place == 0 || *byte != 0;
            return if is_shortest {
                Ok(Some((number, place + 1)))
            } else {
                Err(DecodeError::NotCanonical)
            };
        }
    }
    Ok(None)
}

/// A message of a table, which must be written as we would write it.
fn message<M: Message + Default>(body: &[u8]) -> Result<M, DecodeError> {
    let message = M::decode(body).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    match message.encode_to_vec() == body {
        true => Ok(message),
        false => Err(DecodeError::NotCanonical),
    }
}
