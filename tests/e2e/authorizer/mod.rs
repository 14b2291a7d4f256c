//! An external authorizer over HTTP, on real sockets: what it is told, what its answer does, how
//! much of a body it sees, and what happens without it.

mod answers;
mod authelia;
mod bodies;
mod failures;
mod hostile;
mod questions;

use crate::support::collector::Collector;
use crate::support::origin::{Answer, Origin, Received, text};
use crate::support::proxy::{Proxy, Setup};

/// A proxy before an origin and an authorizer, with a collector.
struct Scene {
    origin: Origin,
    authorizer: Origin,
    collector: Collector,
    proxy: Proxy,
}

/// Everything is one route to the origin behind the policy `legacy`, with these settings beside
/// its URL.
async fn scene(
    settings: &str,
    answer: impl Fn(&Received) -> Answer + Send + Sync + 'static,
) -> Scene {
    let authorizer = Origin::answering(answer).await;
    routed(settings, "auth: legacy", authorizer).await
}

async fn routed(settings: &str, route: &str, authorizer: Origin) -> Scene {
    let (origin, collector) = (Origin::start().await, Collector::start().await);
    let proxy = setup(settings, route, &origin, &authorizer)
        .export_to(&collector)
        .start()
        .await;
    Scene {
        origin,
        authorizer,
        collector,
        proxy,
    }
}

fn setup(settings: &str, route: &str, origin: &Origin, authorizer: &Origin) -> Setup {
    Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://${{origin}}']}}}}\n\
         auth: {{legacy: {{forward: {{url: 'http://${{auth}}/auth', timeout: 5s, {settings}}}}}, \
         tried: {{shadow: true, forward: {{url: 'http://${{auth}}/auth', {settings}}}}}, \
         everybody: {{ip: [127.0.0.0/8]}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin, {route}}}]\n"
    ))
    .origin(origin)
    .fill("auth", &authorizer.address.to_string())
}

/// Allows everything.
fn allow(_: &Received) -> Answer {
    text(200, "")
}
