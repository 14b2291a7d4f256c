//! The command line as typed: what may be said, and what each command gets of it.
//!
//! Only what exists is here. Hints name the binary as it was started, since `make demo` puts none
//! on the PATH.

use super::addresses::{AdminAddress, UpstreamUrl, listen_address};
use super::check::CheckArgs;
use super::explain::ExplainArgs;
use super::help;
use super::man::ManArgs;
use super::schema::SchemaArgs;
use super::style::ColourChoice;
use super::trace::TraceArgs;
use super::verify::VerifyArgs;
use crate::telemetry::log::LogFormat;
use anstyle::{AnsiColor, Style};
use clap::builder::Styles;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What every command understands.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "edgespan",
    version,
    about = "Real trace edges for services that nobody wants to touch",
    disable_help_subcommand = true,
    styles = help_styles(),
    max_term_width = 100
)]
pub struct CommandLine {
    /// Colour: auto, always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    #[arg(
        env = "EDGESPAN_COLOR",
        hide_env_values = true,
        hide_possible_values = true
    )]
    #[arg(help_heading = "Output", hide_short_help = true)]
    pub color: ColourChoice,
    /// Which command; none asks for the overview.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Proxy requests and trace them
    Run(Box<RunArgs>),
    /// Try everything in one process: services, gateway, traffic
    Demo(DemoArgs),
    /// Run a command under a root span of its own
    Exec(Box<super::exec::ExecArgs>),
    /// Spans for the steps of a shell script
    Span(super::span::SpanArgs),
    /// Tell every problem of a configuration file
    Check(CheckArgs),
    /// Tell what would happen to a request, stage by stage
    Explain(ExplainArgs),
    /// Find, show, follow and export traces
    ///
    /// Of an edgespan, Tempo, Jaeger or Zipkin.
    Trace(TraceArgs),
    /// Tell whether trace headers survive the way to what stands behind
    Verify(Box<VerifyArgs>),
    /// Ask key flows through, and hold what comes of them against a file
    Probe(super::probe::ProbeArgs),
    /// Print the JSON Schema of the configuration
    Schema(SchemaArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(ManArgs),
}

/// `edgespan run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Configuration file
    #[arg(
        long,
        value_name = "FILE",
        env = "EDGESPAN_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Upstream for every request, with no file at all
    #[arg(long, value_name = "URL")]
    pub to: Option<UpstreamUrl>,
    /// Where to listen, with --to [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", requires = "to", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,
    /// Where health and metrics are, or `off` [default: 127.0.0.1:9901]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<AdminAddress>,
    /// Name of the service that the spans stand for
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Read the file anew on SIGHUP alone
    ///
    /// Without it, a change of the file, or of a file that it names, is put in force by itself.
    #[arg(long, conflicts_with = "to", hide_short_help = true)]
    pub no_watch: bool,
    /// Restart without loss, over this Unix socket
    ///
    /// Takes the listening sockets of the process that is there, serves, lets it drain, and hands
    /// them to the next one in the same way.
    #[arg(
        long,
        value_name = "SOCKET",
        conflicts_with = "to",
        hide_short_help = true
    )]
    pub takeover: Option<PathBuf>,
    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print spans where stdout is no terminal, too, as --to does by itself
    #[arg(long, conflicts_with = "quiet", help_heading = "Output")]
    pub print_spans: bool,
}

impl RunArgs {
    /// Whether spans are printed: on a terminal as trees; into a pipe as lines, unless stdout is
    /// the access log of a file's proxy.
    pub const fn prints_spans(&self, stdout_is_terminal: bool) -> bool {
        !self.output.quiet && (stdout_is_terminal || self.to.is_some() || self.print_spans)
    }
}

/// `edgespan demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Send no sample traffic
    #[arg(long)]
    pub no_traffic: bool,
    /// Where the gateway listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,
    /// Where health and metrics are, or `off` [default: 127.0.0.1:9901]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<AdminAddress>,
    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What `run` and `demo` print beside their spans.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print no spans
    #[arg(long, short)]
    pub quiet: bool,
    /// Form of the log: human or json [default: by the terminal]
    #[arg(long, value_name = "FORM", hide_possible_values = true)]
    pub log: Option<LogForm>,
    /// Least level that is logged, or a filter of tracing's [default: info]
    #[arg(
        long,
        value_name = "LEVEL",
        env = "EDGESPAN_LOG",
        hide_env_values = true
    )]
    pub log_level: Option<String>,
}

impl OutputArgs {
    /// The log's form: as asked for, else for a person if one watches.
    pub fn log_form(&self, stderr_is_terminal: bool) -> LogForm {
        let by_stream = if stderr_is_terminal {
            LogForm::Human
        } else {
            LogForm::Json
        };
        self.log.unwrap_or(by_stream)
    }
}

/// Forms of edgespan's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl From<LogForm> for LogFormat {
    fn from(form: LogForm) -> Self {
        match form {
            LogForm::Human => Self::Human,
            LogForm::Json => Self::Json,
        }
    }
}

/// `edgespan completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell: bash, zsh or fish
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    pub shell: Shell,
}

/// Shells that completions are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// The command line in use: the program's name as it was started, and how wide help may be.
#[derive(Clone, Debug)]
pub struct Grammar {
    /// `edgespan`, `target/release/edgespan` ...
    pub program: String,
    columns: usize,
}

impl Grammar {
    /// From the first argument. Without one the program is called by its name.
    pub fn new(first: Option<&OsString>, columns: usize) -> Self {
        let name = first.map(|name| name.to_string_lossy().into_owned());
        let name = name.filter(|name| !name.is_empty());
        Self {
            program: name.unwrap_or_else(|| "edgespan".to_owned()),
            columns,
        }
    }

    /// What was asked for.
    ///
    /// # Errors
    /// Wrong usage, and also `--help` and `--version`: clap makes their text the same way.
    pub fn parse(&self, arguments: &[OsString]) -> Result<CommandLine, clap::Error> {
        let mut command = self.command();
        let matches = command.try_get_matches_from_mut(arguments)?;
        let mut parsed = CommandLine::from_arg_matches(&matches)?;
        if let (Some(Command::Run(run)), Some(run_matches)) =
            (&mut parsed.command, matches.subcommand_matches("run"))
        {
            self.settle_source(run, run_matches, &mut command)?;
        }
        Ok(parsed)
    }

    /// Exactly one of `--config` and `--to`. The variable gives way to the flag: it may stand in
    /// a profile, and `--to` was typed just now.
    fn settle_source(
        &self,
        run: &mut RunArgs,
        matches: &ArgMatches,
        command: &mut clap::Command,
    ) -> Result<(), clap::Error> {
        let by_variable = matches.value_source("config") == Some(ValueSource::EnvVariable);
        if run.to.is_some() && by_variable {
            run.config = None;
        }
        let problem = match (&run.config, &run.to) {
            (Some(_), Some(_)) => (
                ErrorKind::ArgumentConflict,
                "`--config` and `--to` exclude each other: a file says itself where requests go"
                    .to_owned(),
            ),
            (None, None) => {
                let program = &self.program;
                let hint = format!(
                    "where do requests go?\n\n  \
                     {program} run --to http://127.0.0.1:3000\n  \
                     {program} run --config edgespan.yaml"
                );
                (ErrorKind::MissingRequiredArgument, hint)
            }
            (Some(_), None) | (None, Some(_)) => return Ok(()),
        };
        let (kind, text) = problem;
        let of_run = command.find_subcommand_mut("run");
        Err(of_run.map_or_else(
            || clap::Error::raw(kind, &text),
            |run| run.error(kind, &text),
        ))
    }

    /// The whole grammar, as help and completions need it.
    pub fn command(&self) -> clap::Command {
        help::told(CommandLine::command(), &self.program).term_width(self.columns.min(100))
    }

    /// What stands there when nothing was asked for: twelve lines.
    pub fn overview(&self) -> String {
        let program = &self.program;
        let version = env!("CARGO_PKG_VERSION");
        let examples = [
            ("demo", "all in one process"),
            ("run --to http://127.0.0.1:3000", "before a service"),
            ("check edgespan.yaml", "every problem at once"),
        ];
        let width = examples
            .map(|(example, _)| example.len())
            .into_iter()
            .max()
            .unwrap_or(0);
        let examples =
            examples.map(|(example, what)| format!("  {program} {example:<width$}   {what}\n"));
        format!(
            "edgespan {version}: real trace edges for services that nobody wants to touch\n\
             Every request gets its SERVER and CLIENT span, on the terminal and over OTLP.\n\
             \n{}\n\
             run         run demo exec span\n\
             understand  check explain trace verify probe\n\
             files       schema completions man\n\
             \n\
             `{program} COMMAND --help` has examples and defaults.\n",
            examples.concat()
        )
    }
}

/// Only what a theme remaps and what does not rely on telling red from green.
const fn help_styles() -> Styles {
    let bold = Style::new().bold();
    Styles::styled()
        .header(bold)
        .usage(bold)
        .literal(bold)
        .placeholder(Style::new())
        .error(AnsiColor::Red.on_default())
        .valid(AnsiColor::Cyan.on_default())
        .invalid(AnsiColor::Yellow.on_default())
}
