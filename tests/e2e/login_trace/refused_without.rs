//! Refusals in files without a login, where the file wants them told.

use crate::support::client::{Reply, get};
use crate::support::collector::Collector;
use crate::support::origin::{Origin, text, with_headers};
use crate::support::provider::provider;
use crate::support::proxy::{Proxy, Setup};
use crate::support::until;
use edgespan::idp::IdentityProvider;
use serde_json::Value;

struct Scene {
    _provider: IdentityProvider,
    hook: Origin,
    collector: Collector,
    proxy: Proxy,
}

/// `/token` wants a token, `/asked` somebody else's leave, `/here` an address, `/name` a password.
async fn scene() -> Scene {
    let (provider, origin) = (provider().await, Origin::start().await);
    let (collector, hook) = (Collector::start().await, Origin::start().await);
    let authorizer = Origin::answering(|asked| {
        let uri = asked.one("x-forwarded-uri");
        if uri.ends_with("/away") {
            with_headers(302, &[("location", "https://login.example/")], "")
        } else {
            text(403, "no")
        }
    });
    let authorizer = authorizer.await;
    let route = |name: &str| {
        format!(
            "  - {{name: {name}, match: {{prefix: /{name}}}, upstream: origin, auth: {name}}}\n"
        )
    };
    let proxy = Setup::new(&format!(
        "upstreams: {{origin: {{endpoints: ['http://${{origin}}']}}}}\n\
         auth:\n\
         \x20 token: {{jwt: {{issuer: '{}', audiences: app}}}}\n\
         \x20 asked: {{forward: {{url: 'http://{}/auth'}}}}\n\
         \x20 here: {{ip: [10.0.0.0/8]}}\n\
         login: {{webhook: {{url: 'http://{}/hook', secret: {{env: HOOK}}}}}}\n\
         routes:\n{}{}{}",
        provider.issuer(),
        authorizer.address,
        hook.address,
        route("token"),
        route("asked"),
        route("here"),
    ))
    .origin(&origin)
    .variable("HOOK", "s3cret")
    .export_to(&collector)
    .start()
    .await;
    Scene {
        _provider: provider,
        hook,
        collector,
        proxy,
    }
}

impl Scene {
    async fn asks(&self, path: &str) -> Reply {
        get(self.proxy.address, path, &[]).await
    }

    fn told(&self) -> Vec<Value> {
        let events = self.hook.received();
        let events = events.iter().map(|one| serde_json::from_slice(&one.body));
        events.map(Result::unwrap).collect()
    }
}

#[tokio::test]
async fn refusals_of_every_policy_are_told_of_without_a_login() {
    let scene = scene().await;

    for (path, status, method, reason) in [
        ("/token", 401, "jwt", "no_credential"),
        ("/asked", 403, "forward", "refused"),
        ("/here", 403, "ip", "forbidden"),
    ] {
        assert_eq!(scene.asks(path).await.status, status, "{path}");
        let of_method = || {
            let mut told = scene.told().into_iter();
            told.find(|event| event["auth_method"] == method)
        };
        until(&format!("a refusal by {method}"), || of_method().is_some()).await;

        let told = of_method().unwrap();
        let name = path.trim_start_matches('/');
        assert_eq!(
            (&told["event"], &told["result"]),
            (&"refusal".into(), &"denied".into())
        );
        assert_eq!(
            (&told["policy"], &told["route"]),
            (&name.into(), &name.into())
        );
        assert_eq!(told["reason"], reason);
        assert!(told["client_address"].is_string() && told["trace_id"].is_string());
        let trace = told["trace_id"].as_str().unwrap().to_owned();
        until("its span", || {
            let mut spans = scene.collector.spans().into_iter();
            spans.any(|span| span.name() == "sso.audit" && span.trace_id() == trace)
        })
        .await;
    }
}

#[tokio::test]
async fn whom_an_authorizer_sends_to_its_login_was_not_refused() {
    let scene = scene().await;

    assert_eq!(scene.asks("/asked/away").await.status, 302);
    assert_eq!(scene.asks("/here").await.status, 403);

    until("the refusal after it", || !scene.told().is_empty()).await;
    let told = scene.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["policy"], "here");
}
