//! From a file to a plan, or to every reason why there is none.

use super::compile::{Compiler, Overrides, compile};
use super::decode::{self, decode};
use super::diagnostic::{Code, Diagnostic, Findings, Mask, Report};
use super::env::Environment;
use super::plan::Plan;
use super::schema::{self, Shape};
use super::tree::{self, Node};
use super::watch::ReadFiles;
use super::{shape, substitute};
use crate::config::compile::files::reason;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Largest file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A plan, and what there is to warn of.
#[derive(Clone)]
pub struct Loaded {
    /// What was asked for.
    pub plan: Plan,
    /// Warnings; often empty.
    pub warnings: Report,
    /// What the plan was made from: the document, if it is a file, and the files that it names.
    pub files: ReadFiles,
}

/// Why there is no plan: every error and warning at once.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What was found; at least one error.
    pub report: Report,
    /// What was read: a change of one of them may mend it.
    pub files: ReadFiles,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.report.summary())
    }
}

impl std::error::Error for Refused {}

/// Reads and compiles a file. Relative paths in it start at its folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(
    path: &Path,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Loaded, Refused> {
    let made = read_file(path, |source| compile_in(source, environment, overrides));
    made.map(Loaded::of)
}

/// Compiles a text that is no file. Relative paths in it start at the working folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compile_text(
    name: &str,
    text: &str,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Loaded, Refused> {
    let source = Written {
        name,
        text,
        folder: Path::new(""),
        files: ReadFiles::default(),
    };
    compile_in(source, environment, overrides).map(Loaded::of)
}

impl Loaded {
    fn of(made: Made<Plan>) -> Self {
        let mut plan = made.value;
        plan.text = Arc::from(made.masked);
        Self {
            plan,
            warnings: made.warnings,
            files: made.files,
        }
    }
}

fn compile_in(
    source: Written<'_>,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Made<Plan>, Refused> {
    source.compile(environment, schema::root(), |repaired, compiler| {
        Ok(Some(compile(&decode(repaired)?, overrides, compiler)))
    })
}

/// A document as it was read.
pub(super) struct Written<'a> {
    name: &'a str,
    text: &'a str,
    /// Where relative paths in it start.
    folder: &'a Path,
    files: ReadFiles,
}

/// What was made of a document without an error.
pub(super) struct Made<T> {
    pub(super) value: T,
    pub(super) warnings: Report,
    pub(super) files: ReadFiles,
    /// The document, with no secret to be seen.
    masked: String,
}

/// Reads a file and makes something of it. Relative paths in it start at its folder.
pub(super) fn read_file<T>(
    path: &Path,
    make: impl FnOnce(Written<'_>) -> Result<Made<T>, Refused>,
) -> Result<Made<T>, Refused> {
    let name = path.display().to_string();
    let mut files = ReadFiles::default();
    files.push(path.to_owned());
    match read(path) {
        Ok(text) => make(Written {
            name: &name,
            text: &text,
            folder: path.parent().unwrap_or(Path::new("")),
            files,
        }),
        Err(reason) => {
            let message = format!("cannot read {name}: {reason}");
            let diagnostics = vec![Diagnostic::new(Code::Unreadable, message)];
            let report = Report::new(&name, "", &Mask::default(), diagnostics);
            Err(Refused { report, files })
        }
    }
}

impl Written<'_> {
    /// Syntax, substitution, shape, meaning: `meaning` decodes and compiles. Only a text without a
    /// tree ends them early.
    pub(super) fn compile<T>(
        mut self,
        environment: &Environment,
        root: &Shape,
        meaning: impl FnOnce(&Node, &mut Compiler<'_>) -> Result<Option<T>, decode::Error>,
    ) -> Result<Made<T>, Refused> {
        let (name, text) = (self.name, self.text);
        let mut findings = Findings::default();
        let mut mask = Mask::default();
        let mut compiler = Compiler {
            findings: &mut findings,
            environment,
            document: text,
            folder: self.folder,
            files: &mut self.files,
        };
        let value = passes(text, root, meaning, &mut compiler, &mut mask);
        mask.hide_comments(text);
        let harmless = findings.are_harmless();
        let report = Report::new(name, text, &mask, findings.in_line_order());
        match value.filter(|_| harmless) {
            Some(value) => Ok(Made {
                value,
                warnings: report,
                files: self.files,
                masked: mask.apply(text),
            }),
            None => Err(Refused {
                report,
                files: self.files,
            }),
        }
    }
}

fn passes<T>(
    text: &str,
    root: &Shape,
    meaning: impl FnOnce(&Node, &mut Compiler<'_>) -> Result<Option<T>, decode::Error>,
    compiler: &mut Compiler<'_>,
    mask: &mut Mask,
) -> Option<T> {
    let Some(mut tree) = tree::parse(text, compiler.findings) else {
        mask.hide_lookalikes(text);
        return None;
    };
    substitute::substitute(&mut tree, compiler.environment, compiler.findings);
    let repaired = shape::check(&tree, root, compiler.findings, mask);
    match meaning(&repaired, compiler) {
        Ok(value) => value,
        Err(error) => {
            let message = format!("the document cannot be read: {error}");
            let diagnostic = Diagnostic::new(Code::Internal, message);
            compiler.findings.push(diagnostic);
            None
        }
    }
}

/// The text of a file, or why there is none, in words.
fn read(path: &Path) -> Result<String, String> {
    let because = |error: std::io::Error| reason(error.kind()).to_owned();
    if std::fs::metadata(path).map_err(because)?.is_dir() {
        return Err("it is a folder".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(because)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(because)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err("it is larger than 16 MiB".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    // A byte order mark is no part of the document, and would move every position.
    Ok(text
        .strip_prefix('\u{feff}')
        .map_or_else(|| text.clone(), str::to_owned))
}
