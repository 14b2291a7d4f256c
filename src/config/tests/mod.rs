//! Promises of the whole configuration.

mod arrival;
mod audit;
mod balance;
mod decision;
mod diagnostics;
mod entitle;
mod environment;
mod ext_authz;
mod forward;
mod health;
mod identity;
mod examples;
mod limits;
mod login;
mod meaning;
mod probe;
mod proofs;
mod message;
mod retries;
mod secrets;
mod store;
mod tokens;

use super::{Environment, Loaded, Look, Overrides, Refused, compile_text};

/// The smallest file that is right, to be added to.
const BASE: &str = "\
listeners: {web: {address: \"127.0.0.1:0\"}}
upstreams: {app: {endpoints: [\"http://127.0.0.1:3000\"]}}
";

/// Compiles a text with nothing set in the environment.
fn compile(text: &str) -> Result<Loaded, Refused> {
    compile_with(text, &[])
}

fn compile_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Refused> {
    let environment: Environment = variables.iter().copied().collect();
    compile_text("edgespan.yaml", text, &environment, &Overrides::default())
}

/// What a person sees of a text's problems.
fn shown(text: &str, look: Look) -> String {
    match compile(text) {
        Ok(loaded) => loaded.warnings.render(look),
        Err(refused) => format!(
            "{}{}\n",
            refused.report.render(look),
            refused.report.summary()
        ),
    }
}

/// Ids and messages of a text's problems.
fn told(text: &str) -> Vec<(&'static str, String)> {
    let report = match compile(text) {
        Ok(loaded) => loaded.warnings,
        Err(refused) => refused.report,
    };
    let pair = |one: &super::Diagnostic| (one.code.id(), one.message.clone());
    report.diagnostics().iter().map(pair).collect()
}
