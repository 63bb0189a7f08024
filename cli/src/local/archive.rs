//! The archive of an ended run: written aside, made durable, read back, then given its name.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use dagmar_common::envelope::{self, Kind};
use dagmar_common::ids::RunId;
use dagmar_common::limits::ARCHIVE_SEGMENTS_MAX;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::segment::{
    Manifest, SegmentName, SegmentWriter, Unreadable, open_manifest, read_segment, seal_manifest,
    verify_segment,
};
use dagmar_common::record::{CodeIdentity, Entry, Folder};
use dagmar_coordinator::services::{Entries, Story};

use super::live::LOGS;
use super::{Project, damage, files};

const GRAPH_VERSION: u16 = 1;

/// What goes into an archive besides the run's story.
#[derive(Debug)]
pub struct Extras<'a> {
    /// What the pipeline calls itself, or its file.
    pub pipeline: &'a str,
    pub code: Vec<CodeIdentity>,
    /// The worker's log segments; they get a second name in the archive.
    pub logs: &'a Path,
}

/// Writes one generation of a run. It is there whole and verified when this returns, or not at all.
///
/// An archive that is there already was written by an owner who died before it could say so.
pub fn write(project: &Project, story: Story, extras: Extras<'_>) -> Result<Manifest, Problem> {
    let generation = story.record.generation;
    let home = project.runs().join(story.record.run_id.as_str());
    let place = home.join(generation.to_string());
    if place.exists() {
        match Archive::open_at(place.clone()).and_then(|it| it.verify().map(|()| it.manifest)) {
            // Damaged since, it is written again: what it is written from is still here.
            Err(problem) if problem.code == Code::Damaged => set_aside(&place)?,
            kept => return kept,
        }
    }
    let aside = home.join(format!(".{generation}.new"));
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(|e| Problem::storage("remove", &aside, &e))?;
    }
    let segments = aside.join("segments");
    fs::create_dir_all(&segments).map_err(|e| Problem::storage("make", &segments, &e))?;

    let graph = envelope::seal(Kind::Graph, GRAPH_VERSION, &story.graph);
    files::write_new(&aside.join("graph"), &graph)?;
    let names = write_segments(&segments, story.entries)?;
    let logs = link_logs(extras.logs, &aside.join(LOGS))?;
    let manifest = Manifest {
        record: story.record,
        pipeline: extras.pipeline.to_owned(),
        code: extras.code,
        segments: names,
        logs,
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let sealed = seal_manifest(&manifest).map_err(|error| damaged(&aside, &error))?;
    files::write_new(&aside.join("manifest"), &sealed)?;
    let names = manifest.segments.iter().map(|name| segments.join(name.digest.to_string()));
    let mut written: Vec<PathBuf> = names.collect();
    written.extend([aside.join("graph"), aside.join("manifest"), segments, aside.clone()]);
    files::sync_all(&written)?;

    Archive::open_at(aside.clone())?.verify()?;
    fs::rename(&aside, &place).map_err(|error| Problem::storage("name", &place, &error))?;
    files::sync_all(&[home, project.runs()])?;
    Ok(manifest)
}

/// Nothing is thrown away that somebody may want to look into.
fn set_aside(place: &Path) -> Result<(), Problem> {
    let aside = (0..).map(|number| place.with_extension(format!("damaged-{number}")));
    let free = aside.into_iter().find(|aside| !aside.exists());
    let renamed = free.map_or(Ok(()), |aside| fs::rename(place, aside));
    renamed.map_err(|error| Problem::storage("set aside", place, &error))
}

/// Equal frames are told as one on the way; one segment is held at a time.
fn write_segments(dir: &Path, entries: Entries) -> Result<Vec<SegmentName>, Problem> {
    let (mut folder, mut folded) = (Folder::default(), Vec::new());
    let (mut writer, mut names) = (SegmentWriter::default(), Vec::new());
    let mut put = |full: Option<(SegmentName, Vec<u8>)>| -> Result<(), Problem> {
        let Some((name, bytes)) = full else { return Ok(()) };
        let path = dir.join(name.digest.to_string());
        // Content-addressed: the same segment again is there already.
        if !path.exists() {
            files::write_new(&path, &bytes)?;
        }
        names.push(name);
        if names.len() > ARCHIVE_SEGMENTS_MAX {
            let most = ARCHIVE_SEGMENTS_MAX;
            return Err(Problem::new(
                Code::Storage,
                format!("the run is too long for an archive: more than {most} segments"),
            ));
        }
        Ok(())
    };
    for entry in entries {
        folder.push(entry?, &mut folded);
        for entry in folded.drain(..) {
            put(writer.push(&entry).map_err(|error| damaged(dir, &error))?)?;
        }
    }
    folder.finish(&mut folded);
    for entry in folded {
        put(writer.push(&entry).map_err(|error| damaged(dir, &error))?)?;
    }
    put(writer.finish())?;
    Ok(names)
}

/// Gives every file under `from` a second name under `to`; their names, as far as they go.
fn link_logs(from: &Path, to: &Path) -> Result<Vec<String>, Problem> {
    let mut names = Vec::new();
    if !from.is_dir() {
        return Ok(names);
    }
    fs::create_dir_all(to).map_err(|error| Problem::storage("make", to, &error))?;
    let entries = fs::read_dir(from).map_err(|error| Problem::storage("read", from, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Problem::storage("read", from, &error))?;
        let (source, name) = (entry.path(), entry.file_name());
        if !source.is_file() {
            continue;
        }
        let target = to.join(&name);
        // Another file system, or one without links: then it is copied.
        let linked =
            fs::hard_link(&source, &target).or_else(|_| fs::copy(&source, &target).map(|_| ()));
        linked
            .and_then(|()| fs::File::open(&target)?.sync_all())
            .map_err(|error| Problem::storage("keep", &source, &error))?;
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    files::sync_dir(to)?;
    Ok(names)
}

/// An archive that can be read; every byte of it is checked before it is believed.
#[derive(Clone, Debug)]
pub struct Archive {
    dir: PathBuf,
    pub manifest: Manifest,
}

impl Archive {
    /// The newest generation of a run; None: there is no archive of it.
    pub fn newest(project: &Project, run: &RunId) -> Result<Option<Archive>, Problem> {
        let home = project.runs().join(run.as_str());
        let entries = match fs::read_dir(&home) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Problem::storage("read", &home, &error)),
        };
        let generations = entries.flatten().filter_map(|entry| {
            entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        });
        match generations.max() {
            Some(newest) => Archive::open_at(home.join(newest.to_string())).map(Some),
            None => Ok(None),
        }
    }

    fn open_at(dir: PathBuf) -> Result<Archive, Problem> {
        let path = dir.join("manifest");
        let bytes = fs::read(&path).map_err(|error| Problem::storage("read", &path, &error))?;
        let manifest = open_manifest(&bytes).map_err(|error| damaged(&path, &error))?;
        Ok(Archive { dir, manifest })
    }

    pub fn logs(&self) -> PathBuf {
        self.dir.join(LOGS)
    }

    pub fn graph(&self) -> Result<Bytes, Problem> {
        let path = self.dir.join("graph");
        let bytes = fs::read(&path).map_err(|error| Problem::storage("read", &path, &error))?;
        let opened = envelope::open(Kind::Graph, GRAPH_VERSION, &bytes);
        let (_, graph) = opened.map_err(|error| damaged(&path, &error.into()))?;
        let found = dagmar_common::graph::Graph::hash(graph);
        let expected = self.manifest.record.graph;
        if found != expected {
            return Err(damaged(&path, &Unreadable::OtherContent { expected, found }));
        }
        Ok(Bytes::copy_from_slice(graph))
    }

    /// Entry by entry; one segment is held at a time.
    pub fn entries(&self) -> Entries {
        let (archive, names) = (self.clone(), self.manifest.segments.clone());
        Box::new(names.into_iter().flat_map(move |name| match archive.segment(&name) {
            Ok(entries) => entries.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(problem) => vec![Err(problem)],
        }))
    }

    pub fn story(&self) -> Result<Story, Problem> {
        Ok(Story {
            record: self.manifest.record.clone(),
            graph: self.graph()?,
            entries: self.entries(),
        })
    }

    fn segment(&self, name: &SegmentName) -> Result<Vec<Entry>, Problem> {
        let (path, bytes) = self.segment_bytes(name)?;
        let mut entries = Vec::new();
        let read = read_segment(name, &bytes, &mut |entry| {
            entries.push(entry);
            Ok::<(), Unreadable>(())
        });
        read.map_err(|error| damaged(&path, &error))?;
        Ok(entries)
    }

    fn segment_bytes(&self, name: &SegmentName) -> Result<(PathBuf, Vec<u8>), Problem> {
        let path = self.dir.join("segments").join(name.digest.to_string());
        match fs::read(&path) {
            Ok(bytes) => Ok((path, bytes)),
            Err(error) => Err(Problem::storage("read", &path, &error)),
        }
    }

    pub fn verify_segments(&self) -> Result<(), Problem> {
        for name in &self.manifest.segments {
            let (path, bytes) = self.segment_bytes(name)?;
            verify_segment(name, &bytes).map_err(|error| damaged(&path, &error))?;
        }
        Ok(())
    }

    /// Reads all of it and believes nothing.
    pub fn verify(&self) -> Result<(), Problem> {
        self.graph()?;
        self.verify_segments()?;
        match self.manifest.logs.iter().find(|name| !self.logs().join(name).is_file()) {
            None => Ok(()),
            Some(name) => {
                let path = self.logs().join(name);
                Err(Problem::new(Code::Damaged, format!("{} is not there", path.display())))
            }
        }
    }
}

fn damaged(path: &Path, error: &Unreadable) -> Problem {
    let code = match error {
        Unreadable::Envelope(envelope::EnvelopeError::Newer { .. }) => Code::Newer,
        _ => Code::Damaged,
    };
    let problem = Problem::new(code, format!("{} {error}", path.display()));
    // `.dagmar/runs/RUN/GENERATION`, wherever below it the damage is.
    let home =
        path.ancestors().find(|one| one.parent().is_some_and(|up| up.ends_with(".dagmar/runs")));
    match (code, home) {
        (Code::Newer, _) => problem
            .because("a newer dagmar wrote it; it is left as it is")
            .try_this("look with the program that wrote it, or a newer one"),
        (_, Some(home)) => problem
            .because("nothing of it is believed; other runs here are not touched")
            .try_this(format!("restore {} from a backup", home.display()))
            .try_this(damage::forget(home)),
        (_, None) => problem,
    }
}

#[cfg(test)]
mod tests;
