//! Spans that have started and not ended, each in a file.
//!
//! Other users must neither read what a job does nor put a span in its place: the folder is its
//! owner's alone, a file is made new under a random name, and no symbolic link is followed.

use crate::cli::failure::{ExitStatus, Failure};
use crate::config::Environment;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Largest file that is read; events beyond it are refused.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A span at its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) traceparent: String,
    pub(super) tracestate: String,
    /// The parent's span id.
    pub(super) parent: Option<String>,
    /// Whether it will be sent.
    pub(super) recorded: bool,
    /// Why it will be, or will not.
    pub(super) reason: String,
    pub(super) name: String,
    /// Nanoseconds since 1970.
    pub(super) started: u64,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) links: Vec<String>,
    pub(super) service: Option<String>,
    /// TRACEPARENT, TRACESTATE and EDGESPAN_SPAN as they were.
    pub(super) before: [Option<String>; 3],
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) name: String,
    /// Nanoseconds since 1970.
    pub(super) at: u64,
    pub(super) attributes: Vec<(String, String)>,
}

/// Where open spans wait.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder given, else `$XDG_RUNTIME_DIR/edgespan`, else one of ours among the temporary
    /// files.
    pub(super) fn open(given: Option<&Path>, environment: &Environment) -> Result<Self, Failure> {
        let path = match (given, environment.filled("XDG_RUNTIME_DIR")) {
            (Some(path), _) => path.to_owned(),
            (None, Some(runtime)) => Path::new(runtime).join("edgespan"),
            (None, None) => {
                let user = rustix::process::geteuid().as_raw();
                std::env::temp_dir().join(format!("edgespan-{user}"))
            }
        };
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(unwritable(&path, error));
            }
            Ok(()) | Err(_) => {}
        }
        let found = std::fs::symlink_metadata(&path).map_err(|error| unwritable(&path, error))?;
        let ours = found.uid() == rustix::process::geteuid().as_raw();
        let closed = found.mode() & 0o077 == 0;
        if !(found.is_dir() && ours && (closed || given.is_some())) {
            let message = format!("{} is not a folder of this user's alone", path.display());
            return Err(Failure::new(ExitStatus::Failed, message)
                .help("name another one with --state FOLDER"));
        }
        Ok(Self(path))
    }

    /// Writes a span's file, which must not be there yet.
    pub(super) fn keep(&self, name: &str, record: &Record) -> Result<PathBuf, Failure> {
        let path = self.0.join(format!("{name}.span"));
        let made = open(&path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL);
        let written = made.and_then(|mut file| file.write_all(line(record)?.as_bytes()));
        written.map_err(|error| unwritable(&path, error))?;
        Ok(path)
    }
}

/// Adds what happened to a span's file, in one write, so that steps side by side do not mix.
pub(super) fn add(path: &Path, step: &Step) -> Result<(), Failure> {
    let written = open(path, OFlags::WRONLY | OFlags::APPEND).and_then(|mut file| {
        if file.metadata()?.len() >= FILE_BYTES_MAX {
            return Err(io::Error::other(
                "a span takes no more than 1 MiB of events",
            ));
        }
        file.write_all(line(step)?.as_bytes())
    });
    written.map_err(|error| unreadable(path, error))
}

/// A span and what happened within it.
pub(super) fn read(path: &Path) -> Result<(Record, Vec<Step>), Failure> {
    let mut text = String::new();
    let read = open(path, OFlags::RDONLY)
        .and_then(|file| file.take(FILE_BYTES_MAX * 2).read_to_string(&mut text));
    read.map_err(|error| unreadable(path, error))?;
    let mut lines = text.lines();
    let record = lines
        .next()
        .and_then(|line| serde_json::from_str(line).ok());
    let record = record.ok_or_else(damaged)?;
    // A line that was cut off is no reason to lose the span.
    let steps = lines.filter_map(|line| serde_json::from_str(line).ok());
    Ok((record, steps.collect()))
}

/// Takes a span's file away.
pub(super) fn forget(path: &Path) -> Result<(), Failure> {
    std::fs::remove_file(path).map_err(|error| unreadable(path, error))
}

/// Adds to a file of somebody else's.
pub(super) fn append(path: &Path, text: &str) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| unwritable(path, error))
}

/// The file is none of ours.
pub(super) fn damaged() -> Failure {
    Failure::new(ExitStatus::Failed, "the open span's file cannot be read")
        .help("EDGESPAN_SPAN has to name what `edgespan span start` set")
}

fn open(path: &Path, how: OFlags) -> io::Result<File> {
    let how = how | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, how, Mode::RUSR | Mode::WUSR)?;
    Ok(File::from(file))
}

fn line<T: Serialize>(value: &T) -> io::Result<String> {
    let mut line = serde_json::to_string(value).map_err(io::Error::other)?;
    line.push('\n');
    Ok(line)
}

fn unwritable(path: &Path, error: io::Error) -> Failure {
    let message = format!("cannot write {}", path.display());
    Failure::new(ExitStatus::Failed, message).because(error)
}

fn unreadable(path: &Path, error: io::Error) -> Failure {
    let ended = error.kind() == io::ErrorKind::NotFound;
    let failure = Failure::new(
        ExitStatus::Failed,
        format!("there is no open span in {}", path.display()),
    );
    let failure = failure.because(error);
    if ended {
        failure.help("it has ended already, or was started by another user")
    } else {
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn record() -> Record {
        Record {
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            tracestate: String::new(),
            parent: None,
            recorded: true,
            reason: "ratio".to_owned(),
            name: "migrate".to_owned(),
            started: 7,
            attributes: vec![("job.name".to_owned(), "nightly".to_owned())],
            links: Vec::new(),
            service: None,
            before: [None, None, None],
        }
    }

    fn step(name: &str) -> Step {
        Step {
            name: name.to_owned(),
            at: 8,
            attributes: Vec::new(),
        }
    }

    #[test]
    fn a_span_waits_in_a_file_of_its_owner_and_keeps_its_steps_in_order() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("spans");
        let folder = Folder::open(Some(&folder), &Environment::default()).unwrap();

        let file = folder.keep("00f067aa0ba902b7", &record()).unwrap();
        add(&file, &step("one")).unwrap();
        add(&file, &step("two")).unwrap();

        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            read(&file).unwrap(),
            (record(), vec![step("one"), step("two")])
        );
        forget(&file).unwrap();
        assert!(read(&file).is_err());
    }

    #[test]
    fn no_link_is_followed_and_no_file_is_taken_over() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("target");
        std::fs::write(&target, "secret").unwrap();
        let link = home.path().join("link.span");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let folder = Folder::open(Some(home.path()), &Environment::default()).unwrap();

        assert!(add(&link, &step("x")).is_err());
        assert!(folder.keep("link", &record()).is_err());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "secret");
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let shared = home.path().join("edgespan");
        std::fs::create_dir(&shared).unwrap();
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
        let runtime = home.path().to_str().unwrap();
        let environment: Environment = [("XDG_RUNTIME_DIR", runtime)].into_iter().collect();

        assert!(Folder::open(None, &environment).is_err());
    }
}
