//! The report for machines: `edgespan.verify/1`. Keys stay, new ones may come.

use crate::verify::report::{Blocked, Ending, Report, Row};
use crate::verify::verdict::Verdict;
use crate::verify::way::{Column, Way};
use serde_json::{Value, json};

/// One document.
pub(super) fn render(report: &Report) -> Value {
    json!({
        "schema": "edgespan.verify/1",
        "url": report.url,
        "result": report.ending().word(),
        "survives": report.ending() == Ending::Survives,
        "requests": report.requests,
        "duration_ms": u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
        "reached": report.reached.as_ref().map(|reached| json!({
            "listener": reached.listener,
            "version": reached.version,
            "key": reached.key,
            "peer": reached.peer,
            "http": reached.http,
        })),
        "echoed": report.echoed,
        "seen": report.hops.iter().map(|hop| json!({
            "hop": hop.product.name(),
            "evidence": hop.seen.iter().map(|one| json!({
                "header": one.header,
                "value": one.value,
                "in": if one.in_request { "request" } else { "answer" },
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "likely": report.likely(),
        "checks": report.rows.iter().map(|row| check(report, row)).collect::<Vec<_>>(),
        "obstacles": report.obstacles.iter().map(obstacle).collect::<Vec<_>>(),
    })
}

/// One document on one line.
pub(super) fn line(report: &Report) -> String {
    format!("{}\n", render(report))
}

fn check(report: &Report, row: &Row) -> Value {
    let ways = report.columns.iter().map(|column| way(row, *column));
    json!({
        "id": row.check.id,
        "label": row.check.label,
        "header": row.check.header,
        // What no account came back for is not known.
        "survives": row.worst().map(|_| row.survives()),
        "allowed": row.is_allowed(),
        "verdict": row.worst().map(Verdict::word),
        "what": row.worst().map(ToString::to_string),
        "change": row.worst().and_then(change),
        "do": if row.survives() { None } else { report.what_to_do(row) },
        "ways": ways.collect::<Vec<_>>(),
    })
}

fn way(row: &Row, column: Column) -> Value {
    let cell = row.cell(column);
    let own = row
        .verdicts
        .iter()
        .filter(|(way, ..)| way.column() == column);
    json!({
        "way": column.name(),
        "verdict": cell.worst.map(Verdict::word),
        "tried": cell.tried,
        "failed": cell.failed,
        "verdicts": own.map(|(way, verdict, times)| json!({
            "way": Way::name(*way),
            "verdict": verdict.word(),
            "times": times,
            "survives": row.is_right(verdict),
        })).collect::<Vec<_>>(),
    })
}

fn change(verdict: &Verdict) -> Option<Value> {
    let Verdict::Changed(change) = verdict else {
        return None;
    };
    Some(json!({
        "at": change.at,
        "sent": change.sent,
        "arrived": change.arrived,
    }))
}

fn obstacle(blocked: &Blocked) -> Value {
    json!({
        "kind": blocked.obstacle.word(),
        "what": blocked.obstacle.to_string(),
        "do": blocked.obstacle.what_to_do(),
        "ways": blocked.ways.iter().map(|way| way.name()).collect::<Vec<_>>(),
        "times": blocked.times,
        "fails": blocked.fails,
    })
}
