//! The report for machines: `edgespan.verify/1`. Keys stay, new ones may come.

use crate::verify::report::{Blocked, Ending, Report, Row};
use crate::verify::verdict::Verdict;
use crate::verify::way::{Column, Way};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

/// What came of a run of `verify`.
#[derive(Serialize, JsonSchema)]
struct VerifyReport {
    /// `edgespan.verify/1`. Within a version fields are only added.
    schema: &'static str,
    /// The address that was tried.
    url: String,
    /// `intact`, `changed`, `no_account` or `unreachable`.
    result: &'static str,
    /// Whether everything survives.
    survives: bool,
    /// Requests that were sent.
    requests: usize,
    /// How long it took, in milliseconds.
    duration_ms: u64,
    /// The edgespan that told what arrived, if one did.
    reached: Option<Teller>,
    /// Whether a service that echoes told, in place of an edgespan.
    echoed: bool,
    /// Hops that showed themselves.
    seen: Vec<SeenHop>,
    /// Who probably did it, in words.
    likely: Option<String>,
    /// Each header that was looked for.
    checks: Vec<CheckedHeader>,
    /// Why there was no account on some ways.
    obstacles: Vec<ToldObstacle>,
}

/// The edgespan behind.
#[derive(Serialize, JsonSchema)]
struct Teller {
    /// Its listener.
    listener: String,
    /// Its version.
    version: String,
    /// The name of the key that its account is signed with.
    key: String,
    /// Who connected to it.
    peer: String,
    /// The HTTP that arrived there.
    http: String,
}

/// A hop that showed itself.
#[derive(Serialize, JsonSchema)]
struct SeenHop {
    /// Which product.
    hop: &'static str,
    /// By what.
    evidence: Vec<Evidence>,
}

/// A header by which a hop is known.
#[derive(Serialize, JsonSchema)]
struct Evidence {
    /// Its name.
    header: String,
    /// Its value.
    value: String,
    /// `request` as it arrived, or `answer`.
    #[serde(rename = "in")]
    place: &'static str,
}

/// What came of a header.
#[derive(Serialize, JsonSchema)]
struct CheckedHeader {
    /// What `--only` calls it.
    id: String,
    /// What the report calls it.
    label: String,
    /// The header, in lower case; for several, their prefix.
    header: String,
    /// Whether it survives; null: no account came back.
    survives: Option<bool>,
    /// Whether it changed, and `--allow` or W3C says that this is right.
    allowed: bool,
    /// The worst that came of it, in a word that stays.
    verdict: Option<&'static str>,
    /// The same in words for people.
    what: Option<String>,
    /// Where it changed.
    change: Option<Difference>,
    /// What usually mends it.
    #[serde(rename = "do")]
    remedy: Option<String>,
    /// What came of it on each way.
    ways: Vec<CheckedWay>,
}

/// Where a value changed.
#[derive(Serialize, JsonSchema)]
struct Difference {
    /// Bytes that are alike before that place.
    at: usize,
    /// What was sent around that place.
    sent: String,
    /// What arrived there.
    arrived: String,
}

/// What came of a header on a column of the report.
#[derive(Serialize, JsonSchema)]
struct CheckedWay {
    /// The column.
    way: &'static str,
    /// The worst; null: no account came back.
    verdict: Option<&'static str>,
    /// How often an account came back.
    tried: usize,
    /// How often it did not survive.
    failed: usize,
    /// Each verdict.
    verdicts: Vec<ToldVerdict>,
}

/// A verdict on one way.
#[derive(Serialize, JsonSchema)]
struct ToldVerdict {
    /// The way.
    way: &'static str,
    /// The verdict, in a word that stays.
    verdict: &'static str,
    /// How often.
    times: usize,
    /// Whether this is right.
    survives: bool,
}

/// Why there was no account.
#[derive(Serialize, JsonSchema)]
struct ToldObstacle {
    /// In a word that stays.
    kind: &'static str,
    /// In words for people.
    what: String,
    /// What to do.
    #[serde(rename = "do")]
    remedy: &'static str,
    /// On which ways.
    ways: Vec<&'static str>,
    /// How often.
    times: usize,
    /// Whether the run fails by it.
    fails: bool,
}

/// One document.
pub(super) fn render(report: &Report) -> serde_json::Value {
    // Texts and numbers alone: this does not fail.
    serde_json::to_value(document(report)).unwrap_or_default()
}

/// One document on one line.
pub(super) fn line(report: &Report) -> String {
    format!("{}\n", render(report))
}

/// JSON Schema of what [`render`] makes.
pub(in crate::cli) fn schema() -> Schema {
    schema_for!(VerifyReport)
}

fn document(report: &Report) -> VerifyReport {
    let seen = report.hops.iter().map(|hop| SeenHop {
        hop: hop.product.name(),
        evidence: hop
            .seen
            .iter()
            .map(|one| Evidence {
                header: one.header.to_string(),
                value: one.value.to_string(),
                place: if one.in_request { "request" } else { "answer" },
            })
            .collect(),
    });
    VerifyReport {
        schema: "edgespan.verify/1",
        url: report.url.clone(),
        result: report.ending().word(),
        survives: report.ending() == Ending::Survives,
        requests: report.requests,
        duration_ms: u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
        reached: report.reached.as_ref().map(|reached| Teller {
            listener: reached.listener.clone(),
            version: reached.version.clone(),
            key: reached.key.clone(),
            peer: reached.peer.clone(),
            http: reached.http.clone(),
        }),
        echoed: report.echoed,
        seen: seen.collect(),
        likely: report.likely(),
        checks: report.rows.iter().map(|row| check(report, row)).collect(),
        obstacles: report.obstacles.iter().map(obstacle).collect(),
    }
}

fn check(report: &Report, row: &Row) -> CheckedHeader {
    let ways = report.columns.iter().map(|column| way(row, *column));
    CheckedHeader {
        id: row.check.id.clone(),
        label: row.check.label.clone(),
        header: row.check.header.clone(),
        // What no account came back for is not known.
        survives: row.worst().map(|_| row.survives()),
        allowed: row.is_allowed(),
        verdict: row.worst().map(Verdict::word),
        what: row.worst().map(ToString::to_string),
        change: row.worst().and_then(change),
        remedy: if row.survives() {
            None
        } else {
            report.what_to_do(row)
        },
        ways: ways.collect(),
    }
}

fn way(row: &Row, column: Column) -> CheckedWay {
    let cell = row.cell(column);
    let own = row
        .verdicts
        .iter()
        .filter(|(way, ..)| way.column() == column);
    CheckedWay {
        way: column.name(),
        verdict: cell.worst.map(Verdict::word),
        tried: cell.tried,
        failed: cell.failed,
        verdicts: own
            .map(|(way, verdict, times)| ToldVerdict {
                way: Way::name(*way),
                verdict: verdict.word(),
                times: *times,
                survives: row.is_right(verdict),
            })
            .collect(),
    }
}

fn change(verdict: &Verdict) -> Option<Difference> {
    let Verdict::Changed(change) = verdict else {
        return None;
    };
    Some(Difference {
        at: change.at,
        sent: change.sent.clone(),
        arrived: change.arrived.clone(),
    })
}

fn obstacle(blocked: &Blocked) -> ToldObstacle {
    ToldObstacle {
        kind: blocked.obstacle.word(),
        what: blocked.obstacle.to_string(),
        remedy: blocked.obstacle.what_to_do(),
        ways: blocked.ways.iter().map(|way| way.name()).collect(),
        times: blocked.times,
        fails: blocked.fails,
    }
}
