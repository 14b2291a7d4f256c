//! The names that an expression may use.

use super::fault::Fault;
use super::kind::Kind;
use super::slot::{Slot, Variable};
use http::HeaderName;

/// What every name begins with.
pub(super) const ROOTS: [&str; 4] = ["request", "claims", "identity", "route"];

const REQUEST: [&str; 8] = [
    "method",
    "path",
    "host",
    "scheme",
    "protocol",
    "client_ip",
    "headers",
    "query",
];
const IDENTITY: [&str; 4] = ["subject", "groups", "proof", "policy"];
const ROUTE: [&str; 2] = ["name", "flow"];

/// What a path of names stands for, and what kind of value that is.
///
/// # Errors
/// The name that is not known, and what to say about it; where it stands is not known here.
pub(super) fn find<'p, 's>(
    path: &'p [String],
    scopes: impl Iterator<Item = &'s str>,
) -> Result<(Variable, Kind), (&'p str, Box<Fault>)> {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["claims", way @ ..] if !way.is_empty() => {
            let way = way.iter().map(|name| Box::from(*name)).collect();
            Ok((Variable::Claim(way), Kind::Any))
        }
        ["request", "headers", name, rest @ ..] => {
            header(name).and_then(|name| no_more(name, rest))
        }
        ["request", "query", name, rest @ ..] => no_more(Variable::Query(Box::from(*name)), rest),
        [root @ ("claims" | "identity" | "request" | "route")]
        | ["request", root @ ("headers" | "query")] => Err((root, Box::new(bare(root)))),
        ["request", member, rest @ ..] => {
            let found = match *member {
                "method" => Variable::Method,
                "path" => Variable::Path,
                "host" => Variable::Host,
                "scheme" => Variable::Scheme,
                "protocol" => Variable::Protocol,
                "client_ip" => Variable::ClientIp,
                _ => return Err(unknown("request", member, &REQUEST)),
            };
            no_more(found, rest)
        }
        ["identity", member, rest @ ..] => {
            let found = match *member {
                "subject" => Variable::Subject,
                "groups" => Variable::Groups,
                "proof" => Variable::Proof,
                "policy" => Variable::Policy,
                _ => return Err(unknown("identity", member, &IDENTITY)),
            };
            no_more(found, rest)
        }
        ["route", member, rest @ ..] => {
            let found = match *member {
                "name" => Variable::RouteName,
                "flow" => Variable::Flow,
                _ => return Err(unknown("route", member, &ROUTE)),
            };
            no_more(found, rest)
        }
        [name, ..] => {
            let fault = Fault::at(0..0, format!("no variable is called `{name}`"));
            let fault = fault.known(name, ROOTS.into_iter().chain(scopes));
            Err((name, Box::new(fault)))
        }
        [] => Err(("", Box::new(Fault::at(0..0, "a name is missing")))),
    }
}

/// The end of a path: a text has no members, nor has a list.
fn no_more<'p>(
    variable: Variable,
    rest: &[&'p str],
) -> Result<(Variable, Kind), (&'p str, Box<Fault>)> {
    let kind = if variable == Variable::Groups {
        Kind::List
    } else {
        Kind::Text
    };
    match rest.first() {
        None => Ok((variable, kind)),
        Some(name) => {
            let message = format!("{} has no member `{name}`", kind.name());
            Err((name, Box::new(Fault::at(0..0, message))))
        }
    }
}

fn header(name: &str) -> Result<Variable, (&str, Box<Fault>)> {
    match HeaderName::from_lowercase(name.as_bytes()) {
        Ok(name) => Ok(Variable::Header(name)),
        Err(_) => {
            let message = format!("no header is called `{name}`");
            let lower = name.to_ascii_lowercase();
            let fault = Fault::at(0..0, message);
            let exists = HeaderName::from_lowercase(lower.as_bytes()).is_ok();
            let fault = if exists {
                fault.label(format!("names are in lower case: `{lower}`"))
            } else {
                fault
            };
            Err((name, Box::new(fault)))
        }
    }
}

fn unknown<'p>(of: &str, member: &'p str, known: &[&str]) -> (&'p str, Box<Fault>) {
    let fault = Fault::at(0..0, format!("`{of}` has no member `{member}`"));
    (member, Box::new(fault.known(member, known.iter().copied())))
}

fn bare(root: &str) -> Fault {
    let help = match root {
        "claims" => {
            "write `claims.name`, `claims[\"name\"]` or `has(claims.name)`, with a literal name"
        }
        "identity" => "write `identity.subject` and the like, or `identity == null`",
        "headers" => "write `request.headers[\"x-name\"]`, with a literal name",
        "query" => "write `request.query.name` or `request.query[\"name\"]`, with a literal name",
        "route" => "write `route.name` or `route.flow`",
        _ => "write `request.path` and the like",
    };
    Fault::at(0..0, format!("`{root}` is no value of its own")).help(help)
}

/// Whether a path names something that is only asked for its members.
pub(super) fn is_container(path: &[String]) -> bool {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(
        words.as_slice(),
        ["claims"] | ["request", "headers" | "query"]
    )
}

/// Whether a slot is filled with what a policy proved.
pub(super) const fn is_of_proof(slot: &Slot) -> bool {
    match slot {
        Slot::Value(variable) | Slot::Has(variable) => matches!(
            variable,
            Variable::Claim(_)
                | Variable::Subject
                | Variable::Groups
                | Variable::Proof
                | Variable::Policy
        ),
        Slot::Pattern(_) | Slot::Round(_) => false,
        Slot::Anonymous(_) => true,
    }
}
