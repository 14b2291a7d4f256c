//! `edgespan run --to URL`: a proxy without a file.

use super::compile::Overrides;
use super::diagnostic::{Code, Diagnostic, Mask, Report};
use super::env::Environment;
use super::load::{Loaded, Refused, compile_text};
use super::scalar;
use super::watch::ReadFiles;
use std::net::SocketAddr;
use std::path::Path;

/// What diagnostics call the document that the command line stands for.
const NAME: &str = "command line";

/// One listener, one upstream, one route for everything, every trace kept.
///
/// # Errors
/// If `url` is no endpoint; nothing else can be wrong.
pub fn run_to(
    url: &str,
    listen: SocketAddr,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Loaded, Refused> {
    if let Err(misread) = scalar::endpoint(url, Path::new("")) {
        let mut diagnostic = Diagnostic::new(Code::Url, format!("--to: {}", misread.message));
        diagnostic.label = misread.label;
        diagnostic.help = misread.help;
        let report = Report::new(NAME, "", &Mask::default(), vec![diagnostic]);
        let files = ReadFiles::default();
        return Err(Refused { report, files });
    }
    compile_text(NAME, &document(url, listen), environment, overrides)
}

fn document(url: &str, listen: SocketAddr) -> String {
    // A JSON string is a YAML string; and no part of the URL is a placeholder.
    let url = serde_json::Value::from(url.replace('$', "$$"));
    format!(
        "listeners: {{web: {{address: \"{listen}\"}}}}\n\
         upstreams: {{to: {{service: upstream, endpoints: [{url}]}}}}\n\
         routes: [{{name: all, upstream: to}}]\n\
         sampling: {{default: 1.0}}\n"
    )
}
