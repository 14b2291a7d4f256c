//! `edgespan run` and `edgespan demo`: from what was typed to a running proxy and back.

use super::args::{DemoArgs, LogForm, OutputArgs, RunArgs};
use super::banner::{self, DemoBanner, Destinations, Listening, RunBanner};
use super::check;
use super::demo::{self, Services};
use super::failure::{ExitStatus, Failure};
use super::reach::{self, Chosen};
use super::reloads::Reloads;
use super::serve::{Serving, until_stopped};
use super::{Console, say};
use crate::app::{Door, Hangups, Inherited, Running, StartError};
use crate::clock;
use crate::config::{
    self, Code, Environment, Loaded, Overrides, Plan, ReadFiles, Refused, Report, TerminalExport,
};
use crate::telemetry::log;
use crate::trace::resource::ResourceValue;
use crate::upstream::EndpointSource;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
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
    let form = args.output.log_form(console.stderr.is_terminal);
    let log = begin_log(&args.output, form, console)?;
    tell(&loaded.warnings, form, console);
    let Loaded { plan, files, .. } = loaded;
    let inherited = Inherited::from_service_manager().map_err(|error| {
        Failure::new(
            ExitStatus::Failed,
            "the service manager's sockets cannot be used",
        )
        .because(error)
    })?;
    let prints = args.prints_spans(console.stdout.is_terminal)
        || (plan.terminal == TerminalExport::Always && !args.output.quiet);
    let serving = Serving {
        service: service_name(&plan),
        prints,
        // Trees say the same and more; a program that reads the output wants the lines.
        logs_access: args.to.is_none() && !prints && !console.stdout.is_terminal,
        log_form: args.output.log_form(console.stdout.is_terminal).into(),
        after_first: None,
        inherited,
        takeover: args.takeover.clone(),
        log: Some(log.outlet()),
    };
    let flags = Flags {
        listen: args.to.is_some(),
        admin: args.to.is_some() || args.admin.is_some(),
    };
    runtime()?.block_on(async {
        let export = destinations(&plan, prints);
        let upstream = plan
            .upstreams
            .first()
            .and_then(|one| one.endpoints.first())
            .map(|one| one.source.clone());
        let tls = has_tls(&plan);
        let reloads = reloads(args, form, files)?;
        let (running, mut ending) = serving.start(plan, console, flags).await?;
        if let Some(reloads) = reloads {
            ending = ending.with_reloads(reloads);
        }
        if shows_itself {
            let knocked = match (&args.to, &upstream) {
                (Some(to), Some(EndpointSource::Address(endpoint))) => {
                    Some((to.as_str(), reach::knock(endpoint).await))
                }
                _ => None,
            };
            let address = upstream.map(|one| one.authority()).unwrap_or_default();
            let banner = RunBanner {
                listeners: &listening(&running, &tls),
                to: knocked.as_ref().map(|(to, reach)| (*to, reach)),
                upstream: &address,
                admin: running.admin,
                kept: kept(&running),
                export: &export,
            };
            say(&banner.render(&console.stderr));
        } else {
            log_start(&running, &export, prints);
            log_store(&running);
        }
        Box::pin(until_stopped(running, ending, shows_itself, console)).await
    })
}

/// Runs the demo until told to stop.
///
/// # Errors
/// What kept it from starting, or from ending well.
pub fn demo(args: &DemoArgs, console: &Console) -> Result<(), Failure> {
    let started = clock::instant();
    let form = args.output.log_form(console.stderr.is_terminal);
    let log = begin_log(&args.output, form, console)?;
    runtime()?.block_on(async {
        let services = Services::start().await.map_err(|error| {
            Failure::new(ExitStatus::Failed, "the demo's services cannot start").because(error)
        })?;
        let listen = args.listen.unwrap_or(DEFAULT_ADDRESS);
        let text = demo::config_text(&services, listen, args.admin);
        let environment = Environment::of_process();
        let loaded = config::compile_text("demo.yaml", &text, &environment, &Overrides::default())
            .map_err(|refused| refuse(&refused, console))?;
        // Its logins are one process's, and end with it.
        tell(&loaded.warnings.without(Code::LoginAlone), form, console);
        let prints = !args.output.quiet;
        let export = destinations(&loaded.plan, prints);
        // The printer starts before there is an address, and shows nothing before there is one.
        let bound = Arc::new(OnceLock::new());
        let (hint, known) = (console.stderr, Arc::clone(&bound));
        let after_first: super::terminal::AfterFirst = Box::new(move || {
            let (gateway, traces) = *known.get().unwrap_or(&(listen, None));
            say(&banner::demo_try(gateway, traces, &hint));
        });
        let serving = Serving {
            service: service_name(&loaded.plan),
            prints,
            logs_access: false,
            log_form: args.output.log_form(console.stdout.is_terminal).into(),
            after_first: (prints && !args.no_traffic).then_some(after_first),
            inherited: Inherited::default(),
            takeover: None,
            log: Some(log.outlet()),
        };
        let flags = Flags {
            listen: true,
            admin: true,
        };
        let (running, ending) = serving.start(loaded.plan, console, flags).await?;
        let gateway = running
            .listeners()
            .first()
            .map_or(listen, |(_, address)| *address);
        services.introduce(gateway);
        let traces = running.admin.filter(|_| kept(&running).is_some());
        let (gateway, traces) = *bound.get_or_init(|| (gateway, traces));
        let banner = DemoBanner {
            gateway,
            admin: running.admin,
            kept: kept(&running),
            services: &services.ports(),
            export: &export,
            ready_after: started.elapsed(),
            has_traffic: !args.no_traffic,
        };
        say(&banner.render(&console.stderr));
        if args.no_traffic || !prints {
            say(&banner::demo_try(gateway, traces, &console.stderr));
        }
        let traffic = CancellationToken::new();
        if !args.no_traffic {
            tokio::spawn(demo::traffic(gateway, traffic.clone()));
        }
        let ended = Box::pin(until_stopped(
            running,
            ending.also_cancel(traffic),
            true,
            console,
        ))
        .await;
        drop(services);
        ended
    })
}

/// Where there is a file to be read anew. To be called before anybody is told that it listens: from
/// then on SIGHUP means a reload. The files are watched from the moment on in which they were read.
fn reloads(args: &RunArgs, form: LogForm, read: ReadFiles) -> Result<Option<Reloads>, Failure> {
    let Some(file) = &args.config else {
        return Ok(None);
    };
    let hangups = Hangups::listen().map_err(|error| {
        Failure::new(ExitStatus::Failed, "SIGHUP cannot be listened to").because(error)
    })?;
    let read = (!args.no_watch).then_some(read);
    let reloads = Reloads::begin(file, overrides(args), form, hangups, read);
    Ok(Some(reloads))
}

/// What the command line says and the file does not change.
fn overrides(args: &RunArgs) -> Overrides {
    Overrides {
        service: args.service.clone(),
        admin: args.admin.map(Into::into),
        listen: args.listen,
    }
}

fn load(args: &RunArgs, console: &Console) -> Result<Loaded, Failure> {
    let environment = Environment::of_process();
    let overrides = overrides(args);
    let loaded = match (&args.config, &args.to) {
        (Some(file), _) => config::load(file, &environment, &overrides),
        (None, Some(url)) => {
            let listen = args.listen.unwrap_or(DEFAULT_ADDRESS);
            config::run_to(url.as_str(), listen, &environment, &overrides)
        }
        (None, None) => return Err(Failure::new(ExitStatus::Usage, "where do requests go?")),
    };
    loaded.map_err(|refused| refuse(&refused, console))
}

fn refuse(refused: &Refused, console: &Console) -> Failure {
    say(&check::told(
        &refused.report,
        console.stderr.look(),
        check::EXIT_REFUSED,
    ));
    Failure::told(ExitStatus::Configuration)
}

/// What there is to say of a configuration, in the form of the log.
pub(super) fn tell(report: &Report, form: LogForm, console: &Console) {
    if form == LogForm::Human {
        say(&report.render(console.stderr.look()));
        return;
    }
    let diagnostics = report.to_json();
    for diagnostic in diagnostics.as_array().into_iter().flatten() {
        let text = |key| diagnostic.get(key).and_then(serde_json::Value::as_str);
        let number = |key| diagnostic.get(key).and_then(serde_json::Value::as_u64);
        // The level of an event is fixed where it stands.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    id = text("id"),
                    file = text("file"),
                    line = number("line"),
                    column = number("column"),
                    help = text("help"),
                    "{}",
                    text("message").unwrap_or_default()
                )
            };
        }
        if text("severity") == Some("error") {
            line!(error);
        } else {
            line!(warn);
        }
    }
}

fn begin_log(
    output: &OutputArgs,
    form: LogForm,
    console: &Console,
) -> Result<log::LogGuard, Failure> {
    let level = output.log_level.as_deref().unwrap_or("info");
    let out = Box::new(console.open_line.before(std::io::stderr()));
    log::init(form.into(), level, console.stderr.paint.is_on(), out)
        .map_err(|error| Failure::new(ExitStatus::Usage, "the log cannot be set up").because(error))
}

fn runtime() -> Result<Runtime, Failure> {
    // On one core a second thread would only take turns with the first.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match cores {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build().map_err(|error| {
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
fn destinations(plan: &Plan, prints: bool) -> Destinations {
    if !plan.tracing.recording {
        return Destinations::NotRecorded;
    }
    let told = |settings: &crate::export::OtlpSettings| {
        let mut url = settings.endpoint.clone();
        url.set_query(None);
        format!("{url} ({})", settings.protocol.name())
    };
    let mut to: Vec<_> = plan.export.iter().map(told).collect();
    match plan.terminal {
        TerminalExport::Never if to.is_empty() => return Destinations::Declined,
        TerminalExport::Always if prints => to.push("the terminal".to_owned()),
        TerminalExport::Always | TerminalExport::Never | TerminalExport::WithoutCollector => {}
    }
    Destinations::To(to)
}

fn has_tls(plan: &Plan) -> Vec<Arc<str>> {
    let with = plan
        .listeners
        .iter()
        .filter(|listener| listener.tls.is_some());
    with.map(|listener| Arc::clone(&listener.name)).collect()
}

fn listening(running: &Running, tls: &[Arc<str>]) -> Vec<Listening> {
    let one = |(name, address): &(Arc<str>, SocketAddr)| Listening {
        name: name.to_string(),
        address: *address,
        is_tls: tls.contains(name),
    };
    running.listeners().iter().map(one).collect()
}

/// How much memory the traces of edgespan's own may take; None: none are kept.
fn kept(running: &Running) -> Option<usize> {
    running.keeps_traces_in()
}

/// Where services may send spans, and whether traces are kept, for a log that machines read.
fn log_store(running: &Running) {
    if let Some(bytes_max) = kept(running) {
        tracing::info!(bytes_max, "recent traces are kept in memory");
    }
    for (name, address) in &running.otlp_doors() {
        tracing::info!(door = %name, %address, "taking OTLP");
    }
}

/// The same as the banner, for a log that machines read.
fn log_start(running: &Running, export: &Destinations, prints: bool) {
    for (name, address) in &running.listeners() {
        tracing::info!(listener = %name, %address, "listening");
    }
    if let Some(address) = running.admin {
        tracing::info!(%address, "admin listening");
    }
    if let Some(address) = running.probes {
        tracing::info!(%address, "probes listening");
    }
    match export {
        Destinations::To(to) if to.is_empty() && !prints => tracing::info!(
            "spans go nowhere: neither `export` nor OTEL_EXPORTER_OTLP_ENDPOINT names a collector"
        ),
        Destinations::To(to) => {
            for destination in to {
                tracing::info!(destination, "exporting spans");
            }
        }
        Destinations::Declined => {
            tracing::info!("spans are not exported, as OTEL_TRACES_EXPORTER says");
        }
        Destinations::NotRecorded => {
            tracing::info!("nothing is recorded, as OTEL_SDK_DISABLED says");
        }
    }
}

/// Which addresses a flag sets, so that a hint names the flag and not a key of the file.
#[derive(Clone, Copy)]
pub(super) struct Flags {
    listen: bool,
    admin: bool,
}

impl Flags {
    fn chosen(self, door: &Door) -> Chosen {
        match door {
            Door::Listener(_) if self.listen => Chosen::Flag("--listen"),
            Door::Listener(name) => Chosen::Key(format!("listeners.{name}.address")),
            Door::Admin if self.admin => Chosen::Flag("--admin"),
            Door::Admin => Chosen::Key("admin.address".to_owned()),
            Door::Probes => Chosen::Key("admin.probes".to_owned()),
            Door::OtlpGrpc => Chosen::Key("store.otlp.grpc".to_owned()),
            Door::OtlpHttp => Chosen::Key("store.otlp.http".to_owned()),
        }
    }
}

/// What kept it from starting, in words for whoever typed the command.
pub(super) fn cannot_start(error: StartError, flags: Flags) -> Failure {
    match error {
        StartError::Listen {
            door,
            address,
            source,
        } => reach::cannot_listen(address, &source, &flags.chosen(&door)),
        StartError::TlsFile { .. }
        | StartError::Export(_)
        | StartError::Redis(_)
        | StartError::AccessLog(_)
        | StartError::Panicked(_)
        | StartError::Routes(_)
        | StartError::UnknownPolicy { .. }
        | StartError::UnknownUpstream { .. } => {
            Failure::new(ExitStatus::Configuration, "nothing was started").because(error)
        }
    }
}
