//! Who connects, for how long, and how much trouble it may make.

mod ages;
mod certificates;
mod floods;
mod proxy_protocol;
mod rotation;

use crate::support::PATIENCE;
use crate::support::client::get;
use crate::support::proxy::Proxy;

/// Waits until a line of `/metrics` begins like this, and gives its number.
#[track_caller]
fn counted(proxy: &Proxy, series: &str) -> impl Future<Output = f64> + use<> {
    counted_any(proxy, &[series.to_owned()])
}

/// The same for the first that is there of several.
#[track_caller]
fn counted_any(proxy: &Proxy, series: &[String]) -> impl Future<Output = f64> + use<> {
    let (admin, series) = (proxy.admin, series.to_owned());
    let place = std::panic::Location::caller();
    async move {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let page = get(admin, "/metrics", &[("host", "localhost")])
                    .await
                    .text();
                let line = page
                    .lines()
                    .find(|line| series.iter().any(|one| line.starts_with(one)));
                if let Some(number) = line.and_then(|line| line.rsplit(' ').next()) {
                    return number.parse().unwrap();
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        });
        waited
            .await
            .unwrap_or_else(|_| panic!("no {series:?} at {place}"))
    }
}

fn cut(reason: &str) -> String {
    format!("edgespan_listener_connections_cut_total{{listener=\"web\",reason=\"{reason}\"}}")
}
