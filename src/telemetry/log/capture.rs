//! A log in memory, so that tests can ask what was logged.

use super::{Log, LogError, LogFormat, subscriber};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// What was logged while [`Captured::during`] ran.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// Runs `scope` and returns what it logged on this thread.
    ///
    /// # Errors
    /// When the filter cannot be read.
    pub fn during(
        format: LogFormat,
        filter: &str,
        scope: impl FnOnce(),
    ) -> Result<String, LogError> {
        let captured = Self::default();
        let log = Log::new(format, false, Box::new(captured.clone()));
        tracing::subscriber::with_default(subscriber(&log, filter)?, scope);
        log.finish();
        Ok(captured.text())
    }

    pub(super) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
