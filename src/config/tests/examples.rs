//! Every example of the repository is right, and the documents about it are up to date.

use super::*;
use crate::config::{errors_markdown, load, reference_markdown, run_to};
use crate::proxy::plan::RouteAction;
use std::path::{Path, PathBuf};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[track_caller]
fn check(path: &Path) -> Loaded {
    let loaded = load(path, &Environment::default(), &Overrides::default());
    let loaded = loaded
        .map_err(|refused| refused.report.render(Look::default()))
        .unwrap();
    assert_eq!(loaded.warnings.render(Look::default()), "");
    loaded
}

#[test]
fn the_minimal_and_the_gateway_example_are_right() {
    let minimal = check(&repository("config/minimal.yaml")).plan;
    let gateway = check(&repository("config/gateway.yaml")).plan;

    assert_eq!(minimal.routes.len(), 1);
    assert_eq!(gateway.routes.len(), 6);
    assert_eq!(gateway.tracing.default_sampling.ratio, 0.5);
    assert_eq!(&*gateway.tracing.feature_flags[0].1, "on");
}

#[test]
fn the_examples_of_auth_are_right() {
    let forward = check(&repository("config/forward-auth.yaml")).plan;
    let decision = check(&repository("config/decision.yaml")).plan;
    let tokens = check(&repository("config/tokens.yaml")).plan;

    assert_eq!(forward.policies.len(), 3);
    assert_eq!(forward.routes.len(), 7);
    assert_eq!((tokens.policies.len(), tokens.routes.len()), (2, 2));
    assert!(decision.listeners[0].decision.is_some());
}

/// They run as they stand, for one process: that alone is warned of, and what nginx asks for.
#[test]
fn the_examples_of_logins_run_as_they_stand() {
    for (path, expected) in [
        ("config/login.yaml", &["W0430", "W0430"][..]),
        ("deploy/login/edgespan.yaml", &["W0431", "W0430", "W0430"]),
    ] {
        let loaded = load(
            &repository(path),
            &Environment::default(),
            &Overrides::default(),
        );
        let loaded = loaded.map_err(|refused| refused.report.render(Look::default()));
        let warnings = loaded.unwrap().warnings;
        let told = warnings.diagnostics().iter();
        let told: Vec<_> = told.map(|one| one.code.id()).collect();
        assert_eq!(told, expected, "{path}");
    }
}

#[test]
fn the_tls_example_is_right_beside_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["portal.example.com".to_owned()]).unwrap();
    std::fs::create_dir(folder.path().join("tls")).unwrap();
    for name in ["portal", "wildcard", "edge", "internal-ca"] {
        let chain = folder.path().join(format!("tls/{name}.pem"));
        std::fs::write(chain, certified.cert.pem()).unwrap();
        let key = folder.path().join(format!("tls/{name}.key"));
        std::fs::write(key, certified.signing_key.serialize_pem()).unwrap();
    }
    std::fs::write(
        folder.path().join("tls/collector-token"),
        "Bearer hunter2\n",
    )
    .unwrap();
    let file = folder.path().join("tls.yaml");
    std::fs::copy(repository("config/tls.yaml"), &file).unwrap();

    let plan = check(&file).plan;

    assert_eq!(
        plan.listeners[0].tls.as_ref().unwrap().certificates.len(),
        2
    );
    assert_eq!(plan.export[0].headers[0].1, "Bearer hunter2");
    assert!(plan.export[0].headers[0].1.is_sensitive());
}

#[test]
fn the_tls_example_without_its_files_names_each_of_them() {
    let refused = load(
        &repository("config/tls.yaml"),
        &Environment::default(),
        &Overrides::default(),
    );

    let report = refused.map(|_| ()).unwrap_err().report;
    assert_eq!(report.errors(), 11);
}

#[test]
fn a_proxy_without_a_file_forwards_everything_and_keeps_every_trace() {
    let listen = "127.0.0.1:8080".parse().unwrap();
    let to = |url: &str| run_to(url, listen, &Environment::default(), &Overrides::default());

    let plan = to("http://127.0.0.1:3000").unwrap().plan;

    assert_eq!(plan.listeners[0].address, listen);
    assert!(matches!(
        &plan.routes[0].1.action,
        RouteAction::Forward { .. }
    ));
    assert_eq!(plan.routes[0].1.sampling.ratio, 1.0);
    assert!(plan.admin.address_is_default);
    assert!(to("unix:/tmp/a b$HOME.sock").is_ok());
    let refused = to("127.0.0.1:3000").map(|_| ()).unwrap_err();
    assert_eq!(
        refused.report.diagnostics()[0].message,
        "--to: an endpoint needs a scheme"
    );
}

#[test]
fn the_reference_is_up_to_date() {
    const HINT: &str = "run `edgespan schema --markdown > docs/configuration.md` and \
                        `edgespan schema --errors > docs/errors.md`";
    if std::env::var_os("EDGESPAN_REGENERATE").is_some() {
        std::fs::write(repository("docs/configuration.md"), reference_markdown()).unwrap();
        std::fs::write(repository("docs/errors.md"), errors_markdown()).unwrap();
    }

    let written = |path: &str| std::fs::read_to_string(repository(path)).unwrap_or_default();

    assert!(
        written("docs/configuration.md") == reference_markdown(),
        "{HINT}"
    );
    assert!(written("docs/errors.md") == errors_markdown(), "{HINT}");
}

#[test]
fn ten_thousand_routes_are_compiled_in_no_time() {
    let mut text = format!("{BASE}routes:\n");
    for n in 0..10_000 {
        text.push_str(&format!(
            "  - {{name: r{n}, match: {{path: \"/a/{n}/{{id}}\"}}, upstream: app}}\n"
        ));
    }

    let plan = compile(&text).unwrap().plan;

    assert_eq!(plan.routes.len(), 10_000);
}
