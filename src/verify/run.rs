//! A whole run: every set of headers on every way, as often as asked, a few at a time.

use super::allow::Allowance;
use super::check::{self, Check, Fresh, Set};
use super::compare::{Line, compare};
use super::hops;
use super::obstacle::Obstacle;
use super::report::{Blocked, Report, Row};
use super::send::{Got, Reached, Sender, Told};
use super::verdict::Verdict;
use super::way::{Column, Way};
use crate::clock;
use http::HeaderMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Requests in flight at a time: a check is no load test.
const AT_ONCE: usize = 4;
/// Most repetitions.
pub const REPEAT_MAX: usize = 1000;

/// What is to be tried.
#[derive(Clone)]
pub struct Run {
    /// How requests are sent.
    pub sender: Sender,
    /// What is sent.
    pub checks: Vec<Check>,
    /// On which ways.
    pub ways: Vec<Way>,
    /// How often each.
    pub repeat: usize,
    /// Changes that are right.
    pub allowed: Vec<Allowance>,
    /// Whether it is a failure when HTTP/2 is not spoken: it was asked for by name.
    pub needs_http2: bool,
}

/// What came of one request with one set.
struct Outcome {
    way: Way,
    verdicts: Vec<(usize, Verdict)>,
    obstacle: Option<Obstacle>,
    reached: Option<Reached>,
    answer: HeaderMap,
    lines: Vec<Line>,
    requests: usize,
}

impl Run {
    /// Runs. Never fails: what goes wrong is in the report.
    pub async fn run(&self) -> Report {
        let began = clock::instant();
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let sets = Arc::new(check::sets(&self.checks));
        let mut sending = JoinSet::new();
        let repeats = 0..self.repeat.clamp(1, REPEAT_MAX);
        let jobs = repeats
            .flat_map(|_| self.ways.iter().copied())
            .flat_map(|way| {
                let sets = 0..sets.len();
                sets.map(move |set| (way, set))
            });
        for (number, (way, at)) in jobs.enumerate() {
            // In order, so that no more tasks exist than may send, and a few that have ended.
            let place = Arc::clone(&places).acquire_owned().await;
            let (run, sets) = (self.clone(), Arc::clone(&sets));
            sending.spawn(async move {
                let outcome = match sets.get(at) {
                    Some(set) => Some(run.one(way, set).await),
                    None => None,
                };
                drop(place);
                (number, outcome)
            });
        }
        let mut outcomes = sending.join_all().await;
        outcomes.sort_by_key(|(number, _)| *number);
        let outcomes: Vec<Outcome> = outcomes.into_iter().filter_map(|(_, one)| one).collect();
        let mut report = self.report(&outcomes);
        report.took = began.elapsed();
        report
    }

    /// One request; where it is refused, each of its checks alone, to tell which one it is.
    async fn one(&self, way: Way, set: &Set) -> Outcome {
        let (mut outcome, told) = self.sent(way, set).await;
        if told {
            return outcome;
        }
        let fault = outcome
            .obstacle
            .as_ref()
            .map(Obstacle::may_be_a_headers_fault);
        let Some(Some(status)) = fault else {
            return outcome;
        };
        // Without any header: whether the way is open at all.
        let (bare, open) = self.sent(way, &Vec::new()).await;
        outcome.requests += bare.requests;
        if !open {
            // In the clear nobody says whether HTTP/2 is known: the connection just ends.
            let in_the_clear = self.sender.url.scheme() == "http";
            let broke = matches!(bare.obstacle, Some(Obstacle::Broken(_)));
            if in_the_clear && broke && way.column() == Column::Http2 {
                outcome.obstacle = Some(Obstacle::NoHttp2);
            }
            return outcome;
        }
        outcome.obstacle = None;
        if let [only] = set.as_slice() {
            outcome.verdicts = vec![(self.place(only), Verdict::Refused(status))];
            return outcome;
        }
        for check in set {
            let (alone, told) = self.sent(way, &vec![check.clone()]).await;
            outcome.requests += alone.requests;
            if told {
                outcome.verdicts.extend(alone.verdicts);
                outcome.reached = outcome.reached.or(alone.reached);
                outcome.lines = alone.lines;
            } else {
                let refused = Verdict::Refused(status);
                outcome.verdicts.push((self.place(check), refused));
            }
        }
        outcome
    }

    /// One request, and whether an account of it came back.
    async fn sent(&self, way: Way, set: &Set) -> (Outcome, bool) {
        let (headers, sent) = check::made(set, &Fresh::new());
        let Got {
            told,
            answer,
            requests,
        } = self.sender.send(way, &headers).await;
        let mut outcome = Outcome {
            way,
            verdicts: Vec::new(),
            obstacle: None,
            reached: None,
            answer,
            lines: Vec::new(),
            requests,
        };
        match told {
            Ok(Told {
                lines,
                removed,
                reached,
            }) => {
                let verdict = |(check, sent): (&Check, &Vec<Line>)| {
                    (
                        self.place(check),
                        compare(check.kind, sent, &lines, &removed),
                    )
                };
                outcome.verdicts = set.iter().zip(&sent).map(verdict).collect();
                outcome.reached = reached;
                outcome.lines = lines;
                (outcome, true)
            }
            Err(obstacle) => {
                outcome.obstacle = Some(obstacle);
                (outcome, false)
            }
        }
    }

    /// Where a check stands among the rows.
    fn place(&self, check: &Check) -> usize {
        let place = self.checks.iter().position(|own| own.id == check.id);
        place.unwrap_or(usize::MAX)
    }

    fn report(&self, outcomes: &[Outcome]) -> Report {
        let row = |check: &Check| Row {
            check: check.clone(),
            verdicts: Vec::new(),
            allowed: self.allowed.clone(),
        };
        let mut rows: Vec<Row> = self.checks.iter().map(row).collect();
        let mut obstacles: Vec<Blocked> = Vec::new();
        for outcome in outcomes {
            for (place, verdict) in &outcome.verdicts {
                if let Some(row) = rows.get_mut(*place) {
                    counted(&mut row.verdicts, outcome.way, verdict);
                }
            }
            if let Some(obstacle) = &outcome.obstacle {
                self.blocked(&mut obstacles, obstacle, outcome.way);
            }
        }
        let columns = Column::ALL.into_iter();
        let tried = |column: &Column| self.ways.iter().any(|way| way.column() == *column);
        Report {
            url: self.sender.url.to_string(),
            requests: outcomes.iter().map(|outcome| outcome.requests).sum(),
            took: std::time::Duration::ZERO,
            reached: outcomes.iter().find_map(|outcome| outcome.reached.clone()),
            echoed: matches!(self.sender.behind, super::send::Behind::Echo(_)),
            hops: hops_of(outcomes),
            columns: columns.filter(tried).collect(),
            rows,
            obstacles,
        }
    }

    fn blocked(&self, obstacles: &mut Vec<Blocked>, obstacle: &Obstacle, way: Way) {
        let known = obstacles.iter_mut().find(|one| one.obstacle == *obstacle);
        match known {
            Some(known) => {
                known.times += 1;
                if !known.ways.contains(&way) {
                    known.ways.push(way);
                }
            }
            None => obstacles.push(Blocked {
                obstacle: obstacle.clone(),
                ways: vec![way],
                times: 1,
                fails: *obstacle != Obstacle::NoHttp2 || self.needs_http2,
            }),
        }
    }
}

fn counted(verdicts: &mut Vec<(Way, Verdict, usize)>, way: Way, verdict: &Verdict) {
    // Changes differ in their ids from request to request; what kind it is counts.
    let alike = |one: &Verdict| match (one, verdict) {
        (Verdict::Changed(one), Verdict::Changed(other)) => one.how == other.how,
        (one, other) => one == other,
    };
    let known = verdicts
        .iter_mut()
        .find(|(own, one, _)| *own == way && alike(one));
    match known {
        Some((_, _, times)) => *times += 1,
        None => verdicts.push((way, verdict.clone(), 1)),
    }
}

/// Hops of one request that came through; without one, of any answer.
fn hops_of(outcomes: &[Outcome]) -> Vec<hops::Hop> {
    let through = outcomes.iter().find(|outcome| !outcome.lines.is_empty());
    let refusing = outcomes.iter().find(|outcome| {
        let mut verdicts = outcome.verdicts.iter();
        verdicts.any(|(_, verdict)| matches!(verdict, Verdict::Refused(_)))
    });
    let any = || outcomes.iter().find(|outcome| !outcome.answer.is_empty());
    let Some(first) = through.or_else(any) else {
        return Vec::new();
    };
    let mut answer = first.answer.clone();
    // Whoever refuses answers itself, and so shows itself.
    for (name, value) in refusing.iter().flat_map(|outcome| &outcome.answer) {
        answer.append(name, value.clone());
    }
    hops::seen(&answer, &first.lines)
}
