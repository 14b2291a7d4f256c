//! `edgespan trace export`: one trace as a file, for a ticket, a test or another backend.

use super::json;
use super::one::{One, OneArgs, fetch};
use crate::cli::failure::{ExitStatus, Failure};
use crate::cli::{Console, answer, say};
use crate::clock;
use crate::telemetry::plain_io;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// `edgespan trace export`.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// Which one.
    #[command(flatten)]
    pub one: OneArgs,
    /// Where to: OTLP as .json, or as .pb in protobuf [default: JSON on stdout]
    #[arg(long, short, value_name = "FILE", value_parser = file)]
    pub output: Option<OutputFile>,
    /// Write over a file that is there
    #[arg(long, requires = "output")]
    pub force: bool,
}

/// A file, and what is written into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    path: PathBuf,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Protobuf,
}

/// The form is told by the name's end.
fn file(text: &str) -> Result<OutputFile, String> {
    let path = PathBuf::from(text);
    let end = path
        .extension()
        .map(|end| end.to_string_lossy().to_ascii_lowercase());
    let form = match end.as_deref() {
        Some("json") => Form::Json,
        Some("pb" | "binpb" | "otlp") => Form::Protobuf,
        Some(_) | None => {
            return Err("its name has to end in .json, or in .pb for protobuf".to_owned());
        }
    };
    Ok(OutputFile { path, form })
}

/// Finds the trace and writes it.
pub(super) async fn run(args: &ExportArgs, console: &Console) -> Result<(), Failure> {
    // Told before anything is waited for.
    if let Some(output) = &args.output
        && !args.force
        && output.path.symlink_metadata().is_ok()
    {
        return Err(is_there(&output.path));
    }
    let zone = super::zone_of(true, clock::wall());
    let One { id, groups } = fetch(&args.one, &zone, console).await?;
    let Some(output) = &args.output else {
        return answer(&json::otlp(groups));
    };
    let scopes = groups.iter().flat_map(|group| &group.scope_spans);
    let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
    let bytes = match output.form {
        Form::Json => json::otlp(groups).into_bytes(),
        Form::Protobuf => TracesData {
            resource_spans: groups,
        }
        .encode_to_vec(),
    };
    write(&output.path, &bytes, args.force)?;
    let (name, size) = (output.path.display(), bytes.len());
    let spans = if spans == 1 {
        "1 span".to_owned()
    } else {
        format!("{spans} spans")
    };
    say(&format!("{name}: trace {id}, {spans}, {size} bytes\n"));
    Ok(())
}

fn write(path: &Path, bytes: &[u8], is_forced: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    if is_forced {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return is_there(path);
        }
        let message = format!("cannot write {}: {}", path.display(), plain_io(&error));
        Failure::new(ExitStatus::Failed, message)
    })
}

fn is_there(path: &Path) -> Failure {
    let message = format!("{} is there already", path.display());
    Failure::new(ExitStatus::Failed, message).help("--force writes over it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_told_by_the_names_end() {
        assert_eq!(file("a.JSON").unwrap().form, Form::Json);
        assert_eq!(file("a.b.pb").unwrap().form, Form::Protobuf);
        assert!(file("a").is_err() && file("a.txt").is_err() && file("json").is_err());
    }

    #[test]
    fn a_file_that_is_there_is_written_over_only_if_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");

        write(&path, b"first", false).unwrap();
        let refused = write(&path, b"second", false).unwrap_err();
        let kept = std::fs::read(&path).unwrap();
        write(&path, b"2", true).unwrap();

        assert!(refused.to_string().ends_with("a.json is there already"));
        assert_eq!(kept, b"first");
        assert_eq!(std::fs::read(&path).unwrap(), b"2");
    }
}
