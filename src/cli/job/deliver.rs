//! The way of a job's span to the collectors, within a bound.

use super::setup::Setup;
use crate::export::Exporter;
use crate::trace::resource::encode_resource;
use crate::trace::sink::{FinishedSpans, SpanSink as _};
use crate::trace::span::OpenSpan;
use bytes::Bytes;
use tokio::task::JoinSet;

/// Ends the span at `at` and sends it to every collector at once, for as long as the setup says.
/// What came of it, in words, if not all of them took it.
pub(in crate::cli) async fn deliver(
    setup: &Setup,
    span: OpenSpan,
    at: crate::clock::Timestamp,
) -> Vec<String> {
    let mut bytes = Vec::new();
    span.end(at, &mut bytes);
    let finished = FinishedSpans { bytes, count: 1 };
    let resource = Bytes::from(encode_resource(&setup.tracing.resource));
    let mut sending = JoinSet::new();
    let mut told = Vec::new();
    for settings in &setup.export {
        let place = settings.endpoint.host_str().unwrap_or_default().to_owned();
        let exporter = match Exporter::start(settings, resource.clone()) {
            Ok(exporter) => exporter,
            Err(error) => {
                told.push(format!(
                    "the span was not sent: {}",
                    crate::telemetry::plain_error(&error)
                ));
                continue;
            }
        };
        exporter.accept(&finished);
        let limit = setup.flush;
        sending.spawn(async move {
            let account = exporter.shutdown(limit).await;
            (account.exported == 0)
                .then(|| format!("the span was not sent: {place} did not take it within {limit:?}"))
        });
    }
    told.extend(sending.join_all().await.into_iter().flatten());
    told
}
