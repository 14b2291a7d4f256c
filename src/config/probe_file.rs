//! The file of a probe: read with the same three passes as a configuration.

use super::compile::{Compiler, probe};
use super::decode::decode;
use super::diagnostic::{Code, Diagnostic, Findings, Mask, Report};
use super::env::Environment;
use super::load::{Refused, read};
use super::watch::ReadFiles;
use super::{raw, schema, shape, substitute, tree};
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
    let name = path.display().to_string();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = ReadFiles::default();
    files.push(path.to_owned());
    match read(path) {
        Ok(text) => compile_in(&name, &text, folder, environment, has_base, files),
        Err(reason) => {
            let message = format!("cannot read {name}: {reason}");
            let diagnostics = vec![Diagnostic::new(Code::Unreadable, message)];
            let report = Report::new(&name, "", &Mask::default(), diagnostics);
            Err(Refused { report, files })
        }
    }
}

fn compile_in(
    name: &str,
    text: &str,
    folder: &Path,
    environment: &Environment,
    has_base: bool,
    mut files: ReadFiles,
) -> Result<LoadedProbe, Refused> {
    let mut findings = Findings::default();
    let mut mask = Mask::default();
    let mut compiler = Compiler {
        findings: &mut findings,
        environment,
        document: text,
        folder,
        files: &mut files,
    };
    let plan = passes(text, has_base, &mut compiler, &mut mask);
    mask.hide_comments(text);
    let harmless = findings.are_harmless();
    let report = Report::new(name, text, &mask, findings.in_line_order());
    match plan.filter(|_| harmless) {
        Some(plan) => Ok(LoadedProbe {
            plan,
            warnings: report,
            files,
        }),
        None => Err(Refused { report, files }),
    }
}

fn passes(
    text: &str,
    has_base: bool,
    compiler: &mut Compiler<'_>,
    mask: &mut Mask,
) -> Option<Plan> {
    let Some(mut tree) = tree::parse(text, compiler.findings) else {
        mask.hide_lookalikes(text);
        return None;
    };
    substitute::substitute(&mut tree, compiler.environment, compiler.findings);
    let repaired = shape::check(&tree, schema::probe_root(), compiler.findings, mask);
    match decode::<raw::Probe>(&repaired) {
        Ok(written) => probe::compile(&written, &repaired.span, has_base, compiler),
        Err(error) => {
            let message = format!("the document cannot be read: {error}");
            let diagnostic = Diagnostic::new(Code::Internal, message);
            compiler.findings.push(diagnostic);
            None
        }
    }
}
