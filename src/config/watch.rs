//! Whether the configuration has changed on disk.
//!
//! The folders of the files are watched, not the files: editors rename a new file over the old
//! one, and Kubernetes swaps a symbolic link beside them. Whatever the system tells, or does not
//! tell (network file systems, a folder made anew), the contents decide: they are compared now and
//! then in any case.

use crate::clock;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior};

/// How often the files are looked at although nobody told of a change.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// How long it has to be quiet: a change is seldom one event, and often one of several files.
const QUIET: Duration = Duration::from_millis(100);
/// How long quiet is waited for.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// What is read of one file: as much as a configuration may have.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The contents of some files, in short. Files that cannot be read count as such.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<Option<u64>>);

impl Fingerprint {
    /// Of these files, now. Blocks on the file system.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a Path>) -> Self {
        Self(files.into_iter().map(fingerprint).collect())
    }
}

fn fingerprint(file: &Path) -> Option<u64> {
    // A pipe or a device would be read for ever.
    if !std::fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).ok()?;
    opened.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Some(hasher.finish())
}

/// Files that are being read, and what each held just before. A change in between is a change.
#[derive(Clone, Debug, Default)]
pub struct ReadFiles {
    files: Vec<PathBuf>,
    seen: Fingerprint,
}

impl ReadFiles {
    /// This one is read next. Blocks on the file system.
    pub(in crate::config) fn push(&mut self, file: PathBuf) {
        self.seen.0.push(fingerprint(&file));
        self.files.push(file);
    }

    /// These were read, too.
    pub(in crate::config) fn extend(&mut self, other: Self) {
        self.seen.0.extend(other.seen.0);
        self.files.extend(other.files);
    }
}

/// Watches files for changes of their contents.
pub struct Watch {
    files: Arc<[PathBuf]>,
    seen: Fingerprint,
    told: Arc<Notify>,
    poll: Interval,
    /// None where the system cannot tell; then there is the poll.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches these files from the moment on in which they were read. Has to be called within the
    /// runtime, and blocks on the file system.
    pub fn begin(read: ReadFiles) -> Self {
        Self::polling(read, POLL_EVERY)
    }

    fn polling(read: ReadFiles, every: Duration) -> Self {
        let told = Arc::new(Notify::new());
        let watcher = watcher(&read.files, &told);
        // They may have changed while nobody watched: that is looked at first.
        told.notify_one();
        let mut poll = tokio::time::interval_at(clock::instant() + every, every);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            seen: read.seen,
            files: read.files.into(),
            told,
            poll,
            _watcher: watcher,
        }
    }

    /// Resolves when a content has changed since the last time it did. May be dropped and called
    /// again.
    pub async fn changed(&mut self) {
        loop {
            tokio::select! {
                () = self.told.notified() => {
                    let quiet = tokio::time::timeout(QUIET_MAX, quiet(&self.told));
                    drop(quiet.await);
                }
                _ = self.poll.tick() => {}
            }
            let files = Arc::clone(&self.files);
            let reading = tokio::task::spawn_blocking(move || {
                Fingerprint::of(files.iter().map(PathBuf::as_path))
            });
            let Ok(now) = reading.await else { continue };
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }
}

/// Waits until nothing has been told for a moment.
async fn quiet(told: &Notify) {
    while tokio::time::timeout(QUIET, told.notified()).await.is_ok() {}
}

/// Watches the folders of the files: where they are named, and where symbolic links lead.
fn watcher(files: &[PathBuf], told: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let told = Arc::clone(told);
    let tell = move |event: notify::Result<notify::Event>| {
        // Reading is no change; ours would be told to ourselves.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        told.notify_one();
    };
    let mut watcher = match notify::recommended_watcher(tell) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "changes of files are only seen every {POLL_EVERY:?}");
            return None;
        }
    };
    let linked = files.iter().filter_map(|file| file.canonicalize().ok());
    let mut folders: Vec<PathBuf> = files
        .iter()
        .cloned()
        .chain(linked)
        .filter_map(|file| file.parent().map(folder))
        .collect();
    folders.sort();
    folders.dedup();
    for folder in folders {
        if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
            let folder = folder.display();
            tracing::warn!(%folder, %error, "changes here are only seen every {POLL_EVERY:?}");
        }
    }
    Some(watcher)
}

/// The folder of a file that is named without one is the working folder.
fn folder(parent: &Path) -> PathBuf {
    if parent.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        parent.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// Long enough for a busy machine.
    const PATIENCE: Duration = Duration::from_secs(20);
    const NEVER: Duration = Duration::from_secs(3600);

    async fn seen(watch: &mut Watch) {
        let changed = tokio::time::timeout(PATIENCE, watch.changed());
        changed.await.expect("the change is seen");
    }

    fn read(files: &[PathBuf]) -> ReadFiles {
        let mut read = ReadFiles::default();
        for file in files {
            read.push(file.clone());
        }
        read
    }

    fn polling(files: &[PathBuf], every: Duration) -> Watch {
        Watch::polling(read(files), every)
    }

    #[tokio::test]
    async fn a_change_between_reading_and_watching_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (file, missing) = (
            folder.path().join("edgespan.yaml"),
            folder.path().join("key"),
        );
        fs::write(&file, "a").unwrap();
        for change in [&file, &missing] {
            let read = read(&[file.clone(), missing.clone()]);

            fs::write(change, "b").unwrap();

            seen(&mut Watch::polling(read, NEVER)).await;
        }
    }

    #[tokio::test]
    async fn a_file_written_anew_in_place_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edgespan.yaml");
        fs::write(&file, "a").unwrap();
        let mut watch = polling(std::slice::from_ref(&file), NEVER);

        fs::write(&file, "b").unwrap();

        seen(&mut watch).await;
    }

    #[tokio::test]
    async fn a_file_renamed_over_the_old_one_is_seen_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edgespan.yaml");
        fs::write(&file, "a").unwrap();
        let mut watch = polling(std::slice::from_ref(&file), NEVER);

        for text in ["b", "c"] {
            let fresh = folder.path().join("4913~");
            fs::write(&fresh, text).unwrap();
            fs::rename(&fresh, &file).unwrap();
            seen(&mut watch).await;
        }
    }

    #[tokio::test]
    async fn a_swapped_link_of_kubernetes_is_seen_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let publish = |version: &str| {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("edgespan.yaml"), version).unwrap();
            symlink(version, path("..data_tmp")).unwrap();
            fs::rename(path("..data_tmp"), path("..data")).unwrap();
        };
        publish("..1");
        symlink("..data/edgespan.yaml", path("edgespan.yaml")).unwrap();
        let mut watch = polling(&[path("edgespan.yaml")], NEVER);

        for version in ["..2", "..3"] {
            publish(version);
            seen(&mut watch).await;
        }
    }

    #[tokio::test]
    async fn what_nobody_tells_of_is_found_by_looking() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edgespan.yaml");
        fs::write(&file, "a").unwrap();
        let mut watch = polling(std::slice::from_ref(&file), Duration::from_millis(5));
        watch._watcher = None;

        fs::remove_file(&file).unwrap();
        seen(&mut watch).await;
        fs::write(&file, "a").unwrap();
        seen(&mut watch).await;
    }

    #[tokio::test]
    async fn other_files_and_equal_contents_are_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edgespan.yaml");
        fs::write(&file, "a").unwrap();
        let mut watch = polling(std::slice::from_ref(&file), Duration::from_millis(5));

        fs::write(folder.path().join("other"), "b").unwrap();
        fs::write(&file, "a").unwrap();

        let changed = tokio::time::timeout(Duration::from_millis(400), watch.changed());
        assert!(changed.await.is_err());
    }
}
