//! Reading a file of a person: size and encoding are checked before anything parses it.

use std::io;
use std::path::Path;

use dagmar_common::limits::PIPELINE_FILE_BYTES_MAX;

use crate::diagnostic::{Code, Diagnostics, Finding, Report};
use crate::source::{Source, Span};

/// The text of a pipeline or of a parameters file.
pub fn read_file(path: &Path) -> Result<String, Diagnostics> {
    let name = path.display().to_string();
    read(path, &name).map_err(|finding| {
        let source = Source::new(&name, "");
        let mut report = Report::new(&source);
        report.add(finding.without_place());
        report.finish()
    })
}

fn read(path: &Path, name: &str) -> Result<String, Finding> {
    let fail = |error: io::Error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "it may not be read by you".to_owned(),
            _ => error.to_string(),
        };
        finding(format!("cannot read {name}: {why}"))
    };
    let metadata = std::fs::metadata(path).map_err(fail)?;
    if metadata.is_dir() {
        return Err(finding(format!("cannot read {name}: it is a directory")));
    }
    if metadata.len() > PIPELINE_FILE_BYTES_MAX as u64 {
        return Err(too_large(metadata.len()));
    }
    let bytes = std::fs::read(path).map_err(fail)?;
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let looks = if is_utf16 { "it looks like UTF-16; " } else { "" };
        finding(format!("{name} is no valid UTF-8 at byte {at}"))
            .help(format!("{looks}save it as UTF-8"))
    })
}

fn finding(message: String) -> Finding {
    Finding::error(Code::File, Span::default(), message)
}

pub(crate) fn too_large(bytes: u64) -> Finding {
    let most = PIPELINE_FILE_BYTES_MAX >> 20;
    let message = format!("the file is {bytes} bytes long; limit {most} MiB");
    Finding::error(Code::TooLarge, Span::default(), message)
        .help("larger pipelines come through the API as a graph")
        .without_place()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let name = format!("dagmar-read-{}-{}", std::process::id(), bytes.len());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("writes");
        let outcome = read_file(&path);
        std::fs::remove_file(&path).expect("removes");
        let text = match outcome {
            Ok(text) => text,
            Err(found) => found.render(false).replace(&path.display().to_string(), "FILE"),
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_no_text_is_named() {
        check("steps: ä".as_bytes(), "steps: ä");
        check(
            b"steps: \xff\xfe",
            "error[E0126]: FILE is no valid UTF-8 at byte 7\n |\n = help: save it as UTF-8\n\n\
             1 error, nothing submitted.\n",
        );
        check(
            b"\xff\xfes\0t\0e\0",
            "error[E0126]: FILE is no valid UTF-8 at byte 0\n |\n \
             = help: it looks like UTF-16; save it as UTF-8\n\n1 error, nothing submitted.\n",
        );
    }

    #[test]
    fn a_missing_file_and_a_directory_are_told_apart() {
        let missing = read_file(Path::new("/nowhere/p.yaml")).expect_err("is not there");
        let message = |found: &Diagnostics| found.iter().next().map(|d| d.message.clone());
        let expected = "cannot read /nowhere/p.yaml: there is no such file";
        assert_eq!(message(&missing).as_deref(), Some(expected));
        let directory = read_file(Path::new("/")).expect_err("is none");
        assert_eq!(message(&directory).as_deref(), Some("cannot read /: it is a directory"));
    }
}
