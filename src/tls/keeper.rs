//! Certificates, keys and authorities are renewed on disk, and served without a restart.
//!
//! Every few seconds, and when it is asked, the keeper reads all files again. If their content has
//! changed, TLS is built anew and takes the old one's place; connections that are open go on as
//! they are. What cannot be used leaves the old one in place, is logged once, and is counted.
//! It looks itself rather than being told: a notification is lost on network file systems and bind
//! mounts, and some kilobytes cost nothing.

use super::contents::{Contents, Digest};
use super::{Acceptor, CertificateFacts, Connector, TlsFileError};
use crate::clock;
use crate::telemetry::metrics::{CertificateExpiry, Metrics};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tracing::{info, warn};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Something that TLS was made from.
pub(super) trait Material: Send + Sync {
    /// Of the files as they are now.
    fn digest(&self) -> Result<Digest, TlsFileError>;
    /// Of the files as they are used.
    fn used(&self) -> Digest;
    /// Reads the files and serves them from here on; if they are of no use, nothing changes.
    fn renew(&self) -> Result<(), TlsFileError>;
    /// The certificates in use.
    fn expiries(&self) -> Vec<Expiry>;
}

/// Until when the certificates of a file are valid.
#[derive(Clone, Debug)]
pub(super) struct Expiry {
    path: PathBuf,
    /// The earliest, in seconds since 1970.
    not_after: i64,
}

impl Expiry {
    /// Of a PEM file; None if its certificates cannot be read that far.
    pub(super) fn of(path: &Path, contents: &Contents) -> Result<Option<Self>, TlsFileError> {
        let chain = contents.chain(path)?;
        let ends = chain
            .iter()
            .filter_map(|certificate| Some(CertificateFacts::read(certificate)?.not_after));
        Ok(ends.min().map(|not_after| Self {
            path: path.to_owned(),
            not_after,
        }))
    }
}

/// Keeps what is served up to date with the files.
pub struct Keeper {
    metrics: Arc<Metrics>,
    watched: Mutex<Vec<Watched>>,
}

struct Watched {
    /// Whose it is: `listener web`, `upstream content`.
    owner: Arc<str>,
    material: Weak<dyn Material>,
    /// The content that was of no use, so that it is told once.
    refused: Option<Refused>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Refused {
    digest: Option<Digest>,
    told: bool,
}

impl Keeper {
    /// Watches nothing yet.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            watched: Mutex::default(),
        })
    }

    /// Watches the files of a listener until nobody uses the acceptor any more.
    pub fn watch_listener(&self, listener: &str, acceptor: &Acceptor) {
        self.watch(format!("listener {listener}"), &acceptor.material());
    }

    /// Watches the files of an upstream until nobody uses the connector any more.
    pub fn watch_upstream(&self, upstream: &str, connector: &Connector) {
        if let Some(material) = connector.material() {
            self.watch(format!("upstream {upstream}"), &material);
        }
    }

    fn watch(&self, owner: String, material: &Arc<dyn Material>) {
        self.watched().push(Watched {
            owner: owner.into(),
            material: Arc::downgrade(material),
            refused: None,
        });
        self.tell_expiries();
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at every file now. Reads from disk: not for a task that serves.
    pub fn look(&self) {
        let mut watched = self.watched();
        watched.retain_mut(|one| {
            let Some(material) = one.material.upgrade() else {
                return false;
            };
            one.look(&*material, &self.metrics);
            true
        });
        drop(watched);
        self.tell_expiries();
    }

    fn tell_expiries(&self) {
        let watched = self.watched();
        let told = watched.iter().filter_map(|one| {
            let expiries = one.material.upgrade()?.expiries();
            Some(expiries.into_iter().map(|expiry| {
                let file = expiry.path.display().to_string();
                ((Arc::clone(&one.owner), file), expiry.not_after)
            }))
        });
        // What a reload replaced lives as long as somebody uses it: the newest speaks for a file.
        let newest: BTreeMap<_, _> = told.flatten().collect();
        let told = newest.into_iter();
        let told = told.map(|((owner, file), unix_seconds)| CertificateExpiry {
            owner,
            file: file.into(),
            unix_seconds,
        });
        self.metrics.certificates(told.collect());
    }

    /// Looks every five seconds, until it is dropped.
    pub async fn run(self: Arc<Self>) {
        // What is used now has just been read.
        let first = clock::instant() + LOOK_EVERY;
        let mut ticks = tokio::time::interval_at(first, LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let this = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || this.look())
                .await
                .is_err()
            {
                self.metrics.panicked();
            }
        }
    }
}

impl Watched {
    fn look(&mut self, material: &dyn Material, metrics: &Metrics) {
        let found = material.digest();
        if found
            .as_ref()
            .is_ok_and(|digest| *digest == material.used())
        {
            self.refused = None;
            return;
        }
        let digest = found.as_ref().ok().copied();
        if self.refused == Some(Refused { digest, told: true }) {
            return; // nothing has changed since
        }
        let owner = &*self.owner;
        let error = match found.and_then(|_| material.renew()) {
            Ok(()) => {
                self.refused = None;
                metrics.certificates_renewed(true);
                info!(%owner, "certificates renewed");
                return;
            }
            Err(error) => error,
        };
        // Chain and key are often written one after the other: a pair that does not fit is told
        // when it is still there at the next look.
        let seen = Refused {
            digest,
            told: false,
        };
        let told = self.refused == Some(seen);
        self.refused = Some(Refused { digest, told });
        if told {
            metrics.certificates_renewed(false);
            let error: &(dyn std::error::Error + 'static) = &error;
            warn!(%owner, error, "new certificates cannot be used; the old ones stay");
        }
    }
}
