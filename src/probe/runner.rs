//! Runs a probe: one step after the other, each with its trace.

use super::answer::Answered;
use super::jar::Jar;
use super::matcher;
use super::origins::Origins;
use super::outcome::{End, Failed, Outcome, StepOutcome};
use super::plan::{Plan, Source, Step, Traces};
use super::request::Prepared;
use super::spans::{self, SpanSource};
use super::values::Values;
use crate::client::{Client, ClientError, Manner};
use crate::clock;
use crate::telemetry::plain_chain;
use crate::trace::ids;
use crate::view::Trace;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use opentelemetry::trace::TraceId;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use url::Url;

/// Between two questions for spans at first; later ones come at most this much apart.
const ASK_AGAIN: Duration = Duration::from_millis(100);
const ASK_AGAIN_MAX: Duration = Duration::from_secs(1);
/// How long a trace has to stay as it is before spans that may not be there are taken for absent.
const SETTLED: Duration = Duration::from_secs(1);

/// Runs probes.
#[derive(Clone)]
pub struct Runner {
    /// Asks.
    pub client: Client,
    /// Where spans are asked for; None: nothing that has to hold of spans can.
    pub spans: Option<Arc<dyn SpanSource>>,
    /// In place of the file's base.
    pub base: Option<Url>,
}

/// What is going on.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// This step begins, counted from 0.
    Began(usize),
    /// A step has ended.
    Ended(&'a StepOutcome),
}

/// What a run carries from step to step.
struct Run {
    base: Option<Url>,
    origins: Origins,
    values: Values,
    jar: Jar,
    trace: TraceId,
}

/// What came of one try.
struct Tried {
    outcome: StepOutcome,
    answered: Option<Answered>,
}

impl Runner {
    /// Runs every step, and tells what is going on. What comes after a step that did not hold is
    /// skipped, unless it runs always.
    pub async fn run(&self, plan: &Plan, tell: &mut (dyn FnMut(Progress<'_>) + Send)) -> Outcome {
        let began = clock::instant();
        let mut run = self.begin(plan);
        let mut steps: Vec<StepOutcome> = Vec::with_capacity(plan.steps.len());
        for (at, step) in plan.steps.iter().enumerate() {
            let broken = steps.iter().any(StepOutcome::failed);
            let outcome = if broken && !step.always {
                blank(step, End::Skipped)
            } else {
                tell(Progress::Began(at));
                self.step(plan, step, &mut run).await
            };
            tell(Progress::Ended(&outcome));
            steps.push(outcome);
        }
        Outcome {
            steps,
            took: began.elapsed(),
        }
    }

    fn begin(&self, plan: &Plan) -> Run {
        let mut values = Values::default();
        for secret in &plan.secrets {
            values.hide(secret.expose());
        }
        for (name, source) in &plan.variables {
            let (value, is_secret) = match source {
                Source::Text(template) => (template.render(&values), false),
                Source::Secret(secret) => (secret.expose().to_owned(), true),
                Source::Generated(generated) => (generated.make(), false),
            };
            values.set(name, value, is_secret);
        }
        let of_file = plan.base.as_ref();
        let of_file = of_file.and_then(|base| Url::parse(&base.render(&values)).ok());
        let base = self.base.clone().or(of_file);
        Run {
            origins: Origins::of(plan, base.as_ref(), &values),
            base,
            values,
            jar: Jar::default(),
            trace: ids::trace_id(),
        }
    }

    /// One step, tried until it holds or its time is up.
    async fn step(&self, plan: &Plan, step: &Step, run: &mut Run) -> StepOutcome {
        let began = clock::instant();
        let mut tries = 0;
        loop {
            tries += 1;
            let mut outcome = self.try_step(plan, step, run).await;
            outcome.tries = tries;
            let again = step.retry.filter(|retry| {
                outcome.end != End::Held && began.elapsed() + retry.every <= retry.within
            });
            match again {
                Some(retry) => sleep(retry.every).await,
                None => return outcome,
            }
        }
    }

    async fn try_step(&self, plan: &Plan, step: &Step, run: &mut Run) -> StepOutcome {
        let id = match plan.traces {
            Traces::Step => ids::trace_id(),
            Traces::Run => run.trace,
        };
        let Tried {
            mut outcome,
            answered,
        } = self.send(step, id, run).await;
        let Some(answered) = answered else {
            return outcome;
        };
        let mut failed = answered.check(&step.expect.answer, &run.values);
        failed.extend(answered.capture(&step.captures, &run.jar, &mut run.values));
        if failed.is_empty() && !step.expect.spans.is_empty() {
            failed = self.spans(plan, step, id, &run.values).await;
        }
        // Masked at the end, since a capture makes a secret of what was shown before.
        let failed = failed.into_iter().map(|one| told(one, &run.values));
        let failed: Vec<Failed> = failed.collect();
        if !failed.is_empty() {
            outcome.end = End::Failed(failed);
        }
        outcome
    }

    /// Sends the request and follows its redirects.
    async fn send(&self, step: &Step, id: TraceId, run: &mut Run) -> Tried {
        let mut outcome = blank(step, End::Held);
        let base = run.base.clone();
        let (origins, values) = (&run.origins, &mut run.values);
        let mut prepared = match Prepared::of(&step.request, base.as_ref(), origins, values) {
            Ok(prepared) => prepared,
            Err(error) => {
                outcome.end = unanswered(&error, false, &run.values);
                return Tried {
                    outcome,
                    answered: None,
                };
            }
        };
        outcome.trace = Some(id.to_string());
        let began = clock::instant();
        let mut follow = step.request.follow;
        let ended = loop {
            outcome.url = Some(prepared.shown(&run.values));
            let left = step.request.timeout.saturating_sub(began.elapsed());
            let answer = self.ask(&prepared, step, id, left, &run.jar).await;
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => break Err(error),
            };
            run.jar.take(&prepared.url, &answer.headers);
            let next = prepared.redirected(answer.status, &answer.headers, &run.values);
            match next {
                Some(next) if follow > 0 => {
                    follow -= 1;
                    prepared = next;
                }
                Some(_) | None => break Ok(answer),
            }
        };
        outcome.took = began.elapsed();
        let answered = match ended {
            Ok(answer) => {
                outcome.status = Some(answer.status.as_u16());
                let body = String::from_utf8_lossy(&answer.body.bytes).into_owned();
                Some(Answered {
                    status: answer.status.as_u16(),
                    headers: answer.headers,
                    json: serde_json::from_str(&body).ok(),
                    body,
                    took: outcome.took,
                })
            }
            Err(error) => {
                outcome.end = unanswered(&error, error.is_unreachable(), &run.values);
                None
            }
        };
        Tried { outcome, answered }
    }

    async fn ask(
        &self,
        prepared: &Prepared,
        step: &Step,
        id: TraceId,
        left: Duration,
        jar: &Jar,
    ) -> Result<crate::client::Answer, ClientError> {
        let mut headers: HeaderMap = prepared.headers.clone();
        let parent = format!("00-{id}-{}-03", ids::span_id());
        let parent = HeaderValue::from_str(&parent).ok();
        headers.extend(parent.map(|parent| (http::HeaderName::from_static("traceparent"), parent)));
        if let Some(line) = jar.line(&prepared.url)
            && !headers.contains_key(COOKIE)
        {
            headers.insert(COOKIE, line);
        }
        let manner = Manner {
            speak: step.request.speak,
            timeout: left,
            ..Manner::default()
        };
        let (method, body) = (prepared.method.clone(), prepared.body.clone());
        let client = &self.client;
        client
            .ask(&prepared.target, method, headers, body, manner)
            .await
    }

    /// Waits until the spans of a trace are what they have to be, and tells what they are not.
    async fn spans(&self, plan: &Plan, step: &Step, id: TraceId, values: &Values) -> Vec<Failed> {
        let patterns = &step.expect.spans;
        let place = patterns.first().map(|pattern| pattern.place);
        let nowhere = |got: String| {
            vec![Failed {
                what: "span".to_owned(),
                expected: format!("the spans of trace {id}"),
                got,
                place: place.unwrap_or_default(),
            }]
        };
        let Some(source) = &self.spans else {
            return nowhere("nobody to ask for them".to_owned());
        };
        let has_bound = patterns.iter().any(|pattern| pattern.at_most.is_some());
        let began = clock::instant();
        let mut pause = ASK_AGAIN;
        let (mut known, mut grew) = (0, began);
        loop {
            let left = plan.spans_within.saturating_sub(began.elapsed());
            let asked = timeout(left.max(ASK_AGAIN), source.trace(id)).await;
            let failed = match asked {
                Ok(Ok(groups)) => {
                    let trace = Trace::of_resource_spans(id, &groups);
                    if trace.spans.len() != known {
                        (known, grew) = (trace.spans.len(), clock::instant());
                    }
                    spans::check(patterns, &trace, values)
                }
                Ok(Err(why)) => nowhere(why),
                Err(_) => nowhere("no answer to the question for them".to_owned()),
            };
            // What may not be there can still come.
            let settled = !has_bound || (known > 0 && grew.elapsed() >= SETTLED);
            let is_over = began.elapsed() + pause > plan.spans_within;
            if (failed.is_empty() && settled) || is_over {
                return failed;
            }
            sleep(pause).await;
            pause = (pause * 2).min(ASK_AGAIN_MAX);
        }
    }
}

/// What does not hold, as it may be shown: cut after it was masked, for half a secret is one, too.
fn told(failed: Failed, values: &Values) -> Failed {
    Failed {
        expected: values.masked(&failed.expected),
        got: matcher::cut(&values.masked(&failed.got)),
        ..failed
    }
}

fn blank(step: &Step, end: End) -> StepOutcome {
    StepOutcome {
        name: step.name.clone(),
        place: step.place,
        method: step.request.method.to_string(),
        url: None,
        status: None,
        took: Duration::ZERO,
        tries: 0,
        trace: None,
        end,
    }
}

/// Why there is no answer, with its causes on one line.
fn unanswered(error: &(dyn Error + 'static), is_unreachable: bool, values: &Values) -> End {
    End::Unanswered {
        why: values.masked(&plain_chain(error)),
        is_unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_half_of_a_secret_is_left_where_a_value_is_cut() {
        let mut values = Values::default();
        values.hide("hunter2-hunter2");
        let got = |before: usize| {
            let failed = Failed {
                what: "body".to_owned(),
                expected: "anything".to_owned(),
                got: "x".repeat(before) + "hunter2-hunter2" + &"y".repeat(300),
                place: crate::probe::plan::Place::default(),
            };
            told(failed, &values).got
        };
        for before in 180..210 {
            assert!(!got(before).contains("hun"), "{}", got(before));
            assert_eq!(got(before).chars().count(), 203);
        }
    }
}
