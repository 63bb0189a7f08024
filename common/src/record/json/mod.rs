//! A run as JSON in the shape of the ancestors' run logs, ours added behind theirs.

mod configuration;
mod names;
mod step;
mod writer;

use std::io::{self, Write};

pub use writer::JsonWriter;

use self::names::Names;
use super::{CodeIdentity, Counts, Entry, NodeRecord, RunRecord, spread, words};
use crate::graph::Graph;
use crate::time::WallTime;

/// What the head and the foot of a run log are made of.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    pub record: &'a RunRecord,
    pub graph: &'a Graph,
    pub code: &'a [CodeIdentity],
    /// Nobody works on it, though it has not ended.
    pub is_interrupted: bool,
}

/// Writes a run log while its story goes by; holds the way to the open frame and nothing else.
pub struct RunLogWriter<'a, W> {
    json: JsonWriter<W>,
    page: Page<'a>,
    names: Names<'a>,
    /// Composites and frames that are open, outermost first.
    open: Vec<Open>,
}

enum Open {
    /// Its `branches` are being written; what stands behind them waits here.
    Composite(NodeRecord),
    /// Its `steps` are being written.
    Frame { path: std::sync::Arc<str> },
}

impl<'a, W: Write> RunLogWriter<'a, W> {
    pub fn begin(out: W, page: Page<'a>) -> io::Result<Self> {
        let mut json = JsonWriter::new(out);
        let record = page.record;
        json.begin_object()?;
        json.text_field("run_id", record.run_id.as_str())?;
        json.text_field("dag_hash", &record.graph.to_string())?;
        json.field("use_cached", false)?;
        json.text_field("tag", &record.tag)?;
        json.text_field("original_run_id", "")?;
        let status = if page.is_interrupted { "INTERRUPTED" } else { words::of_run(record.status) };
        json.text_field("status", status)?;
        json.object_field("steps")?;
        Ok(RunLogWriter { json, page, names: Names::of(page.graph), open: Vec::new() })
    }

    pub fn entry(&mut self, entry: Entry) -> io::Result<()> {
        spread(entry, &mut |entry| match entry {
            Entry::Node(node) => self.node(node),
            Entry::Frame(frame) => self.frame(frame.path, &frame.label, frame.status),
            Entry::Alike(_) => Ok(()),
        })
    }

    pub fn finish(mut self) -> io::Result<W> {
        while self.close_last()? {}
        self.json.end_object()?;
        let record = self.page.record;
        step::values(&mut self.json, "parameters", &record.parameters_at_end)?;
        configuration::write(&mut self.json, self.page)?;
        self.json.field("generation", record.generation)?;
        self.json.text_field("reason", &record.reason)?;
        step::values(&mut self.json, "parameters_at_start", &record.parameters_at_start)?;
        self.json.text_field("submitted", &words::of_time(record.submitted))?;
        time(&mut self.json, "ended", record.ended)?;
        write_counts(&mut self.json, &record.counts)?;
        self.json.object_field("log_indices")?;
        self.json.field("first", record.first_index)?;
        self.json.field("last", record.last_index)?;
        self.json.end_object()?;
        self.json.end_object()?;
        self.json.finish()
    }

    fn node(&mut self, node: NodeRecord) -> io::Result<()> {
        let parent = node.path.rsplit_once('.').map(|(parent, _)| parent);
        self.close_until(|open| match (open, parent) {
            (Some(Open::Frame { path }), Some(parent)) => &**path == parent,
            (None, None) => true,
            _ => false,
        })?;
        step::head(&mut self.json, &node, &self.names, self.page)?;
        if node.frames > 0 {
            self.open.push(Open::Composite(node));
            return Ok(());
        }
        self.json.end_object()?;
        step::tail(&mut self.json, &node)
    }

    fn frame(
        &mut self,
        path: std::sync::Arc<str>,
        label: &str,
        status: super::NodeStatus,
    ) -> io::Result<()> {
        let composite = path.rsplit_once('.').map(|(composite, _)| composite);
        self.close_until(|open| match (open, composite) {
            (Some(Open::Composite(node)), Some(composite)) => &*node.path == composite,
            _ => false,
        })?;
        self.json.object_field(&path)?;
        self.json.text_field("internal_name", &path)?;
        self.json.text_field("status", words::of_node(status))?;
        self.json.text_field("label", label)?;
        self.json.object_field("steps")?;
        self.open.push(Open::Frame { path });
        Ok(())
    }

    /// Closes what is open until `is_parent` holds of the innermost.
    fn close_until(&mut self, is_parent: impl Fn(Option<&Open>) -> bool) -> io::Result<()> {
        while !is_parent(self.open.last()) {
            if !self.close_last()? {
                let message = "the story of the run names a step whose frame did not come before";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
        Ok(())
    }

    fn close_last(&mut self) -> io::Result<bool> {
        match self.open.pop() {
            None => return Ok(false),
            Some(Open::Composite(node)) => {
                self.json.end_object()?;
                step::tail(&mut self.json, &node)?;
            }
            Some(Open::Frame { .. }) => {
                self.json.end_object()?;
                self.json.end_object()?;
            }
        }
        Ok(true)
    }
}

fn time<W: Write>(json: &mut JsonWriter<W>, name: &str, at: Option<WallTime>) -> io::Result<()> {
    match at {
        Some(at) => json.text_field(name, &words::of_time(at)),
        None => json.field(name, "null"),
    }
}

/// A field `counts`, as every JSON of ours has it.
pub fn write_counts<W: Write>(json: &mut JsonWriter<W>, counts: &Counts) -> io::Result<()> {
    json.object_field("counts")?;
    json.field("waiting", counts.waiting)?;
    json.field("active", counts.active)?;
    json.field("succeeded", counts.succeeded)?;
    json.field("failed", counts.failed)?;
    json.field("skipped", counts.skipped)?;
    json.field("cancelled", counts.cancelled)?;
    json.end_object()
}

#[cfg(test)]
mod tests;
