//! The file of a probe: read with the same three passes as a configuration.

use super::compile::probe;
use super::decode::decode;
use super::diagnostic::Report;
use super::env::Environment;
use super::load::{Refused, read_file};
use super::watch::ReadFiles;
use super::{raw, schema};
use crate::probe::Plan;
use std::path::Path;

/// A probe, and what there is to warn of.
#[derive(Clone, Debug)]
pub struct LoadedProbe {
    /// What was asked for.
    pub plan: Plan,
    /// Warnings; often empty.
    pub warnings: Report,
    /// The file, and the files that it names.
    pub files: ReadFiles,
}

/// Reads and compiles a probe's file. Relative paths in it start at its folder. `has_base`: its
/// base comes from elsewhere.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_probe(
    path: &Path,
    environment: &Environment,
    has_base: bool,
) -> Result<LoadedProbe, Refused> {
    let made = read_file(path, |source| {
        source.compile(environment, schema::probe_root(), |repaired, compiler| {
            let written = decode::<raw::Probe>(repaired)?;
            Ok(probe::compile(&written, &repaired.span, has_base, compiler))
        })
    })?;
    Ok(LoadedProbe {
        plan: made.value,
        warnings: made.warnings,
        files: made.files,
    })
}
