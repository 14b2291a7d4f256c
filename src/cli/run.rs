//! `edgespan run` and `edgespan demo`: from what was typed to a running proxy and back.

use super::args::{DemoArgs, OutputArgs, RunArgs};
use super::banner::{self, DemoBanner, Listening, RunBanner};
use super::check;
use super::demo::{self, Services};
use super::failure::{ExitStatus, Failure};
use super::reach::{self, Chosen};
use super::serve::{Serving, until_stopped};
use super::{Console, say};
use crate::app::{Running, StartError};
use crate::clock;
use crate::config::{self, Environment, Loaded, Overrides, Plan, Refused};
use crate::telemetry::log;
use crate::trace::resource::ResourceValue;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Where a gateway without a file listens unless told otherwise.
const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Runs until told to stop.
///
/// # Errors
/// What kept it from starting, or from ending well.
pub fn run(args: &RunArgs, console: &Console) -> Result<(), Failure> {
    let loaded = load(args, console)?;
    let shows_itself = args.to.is_some() || console.stderr.is_terminal;
    let _log = begin_log(&args.output, console, "info")?;
    let prints = args.prints_spans(console.stdout.is_terminal);
    let serving = Serving {
        service: service_name(&loaded.plan),
        prints,
        // Trees say the same and more; a program that reads the output wants the lines.
        logs_access: loaded
            .plan
            .access_log
            .unwrap_or(args.to.is_none() && !prints && !console.stdout.is_terminal),
        log_form: args.output.log_form(console.stdout.is_terminal).into(),
        after_first: None,
    };
    runtime()?.block_on(async {
        let plan = loaded.plan;
        let export = destinations(&plan);
        let spans_are_seen = prints || !export.is_empty() || !plan.tracing.recording;
        let upstream = plan
            .upstreams
            .first()
            .and_then(|one| one.endpoints.first())
            .cloned();
        let tls = has_tls(&plan);
        let named = match args.to {
            Some(_) => Chosen::Flag("--listen"),
            None => Chosen::Key("listeners.*.address"),
        };
        let (running, ending) = serving.start(plan, console, named).await?;
        if shows_itself {
            let knocked = match (&args.to, &upstream) {
                (Some(to), Some(endpoint)) => Some((to.as_str(), reach::knock(endpoint).await)),
                _ => None,
            };
            let address = upstream.map(|one| one.authority()).unwrap_or_default();
            let banner = RunBanner {
                listeners: &listening(&running, &tls),
                to: knocked.as_ref().map(|(to, reach)| (*to, reach)),
                upstream: &address,
                admin: running.admin,
                export: &export,
            };
            say(&banner.render(&console.stderr));
        } else {
            log_start(&running, &export, spans_are_seen);
        }
        until_stopped(running, ending, shows_itself).await
    })
}

/// Runs the demo until told to stop.
///
/// # Errors
/// What kept it from starting, or from ending well.
pub fn demo(args: &DemoArgs, console: &Console) -> Result<(), Failure> {
    let started = clock::instant();
    let _log = begin_log(&args.output, console, "warn")?;
    runtime()?.block_on(async {
        let services = Services::start().await.map_err(|error| {
            Failure::new(ExitStatus::Failed, "the demo's services cannot start").because(error)
        })?;
        let listen = args.listen.unwrap_or(DEFAULT_ADDRESS);
        let text = demo::config_text(&services, listen, args.admin);
        let environment = Environment::of_process();
        let loaded = config::compile_text("demo.yaml", &text, &environment, &Overrides::default())
            .map_err(|refused| refuse(&refused, console))?;
        warn(&loaded, console);
        let export = destinations(&loaded.plan);
        let hint = console.stderr;
        let prints = !args.output.quiet;
        let after_first: super::terminal::AfterFirst =
            Box::new(move || say(&banner::demo_try(listen, &hint)));
        let serving = Serving {
            service: service_name(&loaded.plan),
            prints,
            logs_access: loaded.plan.access_log.unwrap_or(false),
            log_form: args.output.log_form(console.stdout.is_terminal).into(),
            after_first: (prints && !args.no_traffic).then_some(after_first),
        };
        let named = Chosen::Flag("--listen");
        let (running, ending) = serving.start(loaded.plan, console, named).await?;
        let gateway = running
            .listeners
            .first()
            .map_or(listen, |(_, address)| *address);
        let banner = DemoBanner {
            gateway,
            admin: running.admin,
            services: &services.ports(),
            export: &export,
            ready_after: started.elapsed(),
            has_traffic: !args.no_traffic,
        };
        say(&banner.render(&console.stderr));
        if args.no_traffic || !prints {
            say(&banner::demo_try(gateway, &console.stderr));
        }
        let traffic = CancellationToken::new();
        if !args.no_traffic {
            tokio::spawn(demo::traffic(gateway, traffic.clone()));
        }
        let ended = until_stopped(running, ending.also_cancel(traffic), true).await;
        drop(services);
        ended
    })
}

fn load(args: &RunArgs, console: &Console) -> Result<Loaded, Failure> {
    let environment = Environment::of_process();
    let overrides = Overrides {
        service: args.service.clone(),
        admin: args.admin.map(Into::into),
        listen: args.listen,
    };
    let loaded = match (&args.config, &args.to) {
        (Some(file), _) => config::load(file, &environment, &overrides),
        (None, Some(url)) => {
            let listen = args.listen.unwrap_or(DEFAULT_ADDRESS);
            config::run_to(url.as_str(), listen, &environment, &overrides)
        }
        (None, None) => return Err(Failure::new(ExitStatus::Usage, "where do requests go?")),
    };
    let loaded = loaded.map_err(|refused| refuse(&refused, console))?;
    warn(&loaded, console);
    Ok(loaded)
}

fn refuse(refused: &Refused, console: &Console) -> Failure {
    say(&check::told(
        &refused.report,
        console.stderr.look(),
        check::EXIT_REFUSED,
    ));
    Failure::told(ExitStatus::Configuration)
}

fn warn(loaded: &Loaded, console: &Console) {
    if loaded.warnings.warnings() > 0 {
        say(&loaded.warnings.render(console.stderr.look()));
    }
}

fn begin_log(
    output: &OutputArgs,
    console: &Console,
    level: &str,
) -> Result<log::LogGuard, Failure> {
    let form = output.log_form(console.stderr.is_terminal).into();
    let level = output.log_level.as_deref().unwrap_or(level);
    log::init(form, level, console.stderr.paint.is_on())
        .map_err(|error| Failure::new(ExitStatus::Usage, "the log cannot be set up").because(error))
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(ExitStatus::Failed, "threads cannot be started").because(error)
        })
}

fn service_name(plan: &Plan) -> Arc<str> {
    plan.tracing
        .resource
        .iter()
        .find_map(|(key, value)| match value {
            ResourceValue::String(name) if &**key == "service.name" => Some(Arc::clone(name)),
            ResourceValue::String(_)
            | ResourceValue::Int(_)
            | ResourceValue::Double(_)
            | ResourceValue::Bool(_) => None,
        })
        .unwrap_or_else(|| Arc::from("edgespan"))
}

/// Where spans go, without anything secret.
fn destinations(plan: &Plan) -> Vec<String> {
    let told = |settings: &crate::export::OtlpSettings| {
        let mut url = settings.endpoint.clone();
        url.set_query(None);
        format!("{url} ({})", settings.protocol.name())
    };
    plan.export.iter().map(told).collect()
}

fn has_tls(plan: &Plan) -> Vec<Arc<str>> {
    let with = plan
        .listeners
        .iter()
        .filter(|listener| !listener.certificates.is_empty());
    with.map(|listener| Arc::clone(&listener.name)).collect()
}

fn listening(running: &Running, tls: &[Arc<str>]) -> Vec<Listening> {
    let one = |(name, address): &(Arc<str>, SocketAddr)| Listening {
        name: name.to_string(),
        address: *address,
        is_tls: tls.contains(name),
    };
    running.listeners.iter().map(one).collect()
}

/// The same as the banner, for a log that machines read.
fn log_start(running: &Running, export: &[String], spans_are_seen: bool) {
    for (name, address) in &running.listeners {
        tracing::info!(listener = %name, %address, "listening");
    }
    if let Some(address) = running.admin {
        tracing::info!(%address, "admin listening");
    }
    if let Some(address) = running.probes {
        tracing::info!(%address, "probes listening");
    }
    for destination in export {
        tracing::info!(destination, "exporting spans");
    }
    if !spans_are_seen {
        tracing::info!(
            "spans go nowhere: neither `export` nor OTEL_EXPORTER_OTLP_ENDPOINT names a collector"
        );
    }
}

/// What kept it from starting, in words for whoever typed the command.
pub(super) fn cannot_start(error: StartError, named: Chosen<'_>) -> Failure {
    match error {
        StartError::Listen { address, source } => reach::cannot_listen(address, &source, named),
        StartError::TlsFile { .. }
        | StartError::Tls { .. }
        | StartError::Export(_)
        | StartError::AccessLog(_)
        | StartError::Routes(_)
        | StartError::UnknownUpstream { .. } => {
            Failure::new(ExitStatus::Configuration, "nothing was started").because(error)
        }
    }
}
