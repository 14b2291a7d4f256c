//! What each command's long help says below its options: examples, a note, exit codes.

use clap::Command;

/// Examples without the program's name, then what else there is to say.
struct Help {
    command: &'static str,
    examples: &'static [&'static str],
    note: &'static str,
    exit: &'static str,
}

const COMMANDS: &[Help] = &[
    Help {
        command: "run",
        examples: &[
            "run --to http://127.0.0.1:3000",
            "run --to h2c://127.0.0.1:3000 --service shop",
            "run --config edgespan.yaml",
        ],
        note: "Spans go to the terminal, and to a collector where the file or \
               OTEL_EXPORTER_OTLP_ENDPOINT names one. A flag wins over a variable, and that over \
               the file. Ctrl-C and SIGTERM end requests in flight first.",
        exit: "0 done, 1 failed, 64 usage, 78 configuration, 130 second Ctrl-C",
    },
    Help {
        command: "demo",
        examples: &["demo", "demo --no-traffic", "demo --listen 127.0.0.1:9080"],
        note: "Needs nothing but this program and touches nothing outside it. \
               OTEL_EXPORTER_OTLP_ENDPOINT=URL sends the spans to a collector, too.",
        exit: "0 done, 1 failed, 64 usage, 130 second Ctrl-C",
    },
    Help {
        command: "exec",
        examples: &[
            "exec --job nightly-sweep --schedule '15 3 * * *' -- ./sweep.sh --all",
            "exec -- curl -H 'traceparent: {traceparent}' http://127.0.0.1:8080/",
        ],
        note: "The command gets TRACEPARENT, TRACESTATE and BAGGAGE, and continues the trace that \
               these name for us. {traceparent}, {tracestate}, {trace_id} and {span_id} in its \
               arguments are filled in. The span goes where OTEL_EXPORTER_OTLP_ENDPOINT says, or \
               to the edgespan of EDGESPAN_URL.",
        exit: "that of the command; 126 it cannot be run, 127 it is not there, 128 and the number \
               of a signal that ended it",
    },
    Help {
        command: "span",
        examples: &[
            "span start --name migrate",
            "span event 'tables locked' -a tables=12",
            "span end --exit-code $?",
        ],
        note: "`start` and `end` print what the shell has to set, so a script says \
               eval \"$(edgespan span start --name migrate)\"; commands between them continue the \
               trace. A span is sent when it ends.",
        exit: "0 done, 1 failed, 64 usage",
    },
    Help {
        command: "span start",
        examples: &[
            "span start --name migrate",
            "span start --job backup --trigger cron --format fish",
        ],
        note: "Prints TRACEPARENT, TRACESTATE and EDGESPAN_SPAN for the shell to set: a script says \
               eval \"$(edgespan span start --name migrate)\".",
        exit: "0 done, 1 failed, 64 usage",
    },
    Help {
        command: "span event",
        examples: &["span event 'tables locked' -a tables=12"],
        note: "It is kept beside the open span, and is sent with it.",
        exit: "0 done, 1 there is no such span, 64 usage, or none is open",
    },
    Help {
        command: "span end",
        examples: &[
            "span end --exit-code $?",
            "span end --status error -a reason='no space left'",
        ],
        note: "Prints what the shell has to set back, then sends the span where \
               OTEL_EXPORTER_OTLP_ENDPOINT or EDGESPAN_URL says.",
        exit: "0 done, also if no collector took it; 1 there is no such span, 64 usage, or none is \
               open",
    },
    Help {
        command: "check",
        examples: &[
            "check edgespan.yaml",
            "check --json edgespan.yaml",
            "check --explain E0101",
        ],
        note: "",
        exit: "0 it is right, 1 failed, 64 usage, 78 it is not",
    },
    Help {
        command: "explain",
        examples: &[
            "explain edgespan.yaml 'POST https://app.example.com/api/v1/orders/7'",
            "explain edgespan.yaml /api \\
      -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'",
            "explain edgespan.yaml - < pasted-curl-line",
        ],
        note: "The request runs through the code of every request, with an upstream in memory: \
               nothing is sent.",
        exit: "0 explained, 1 failed, 64 usage, 78 configuration",
    },
    Help {
        command: "verify",
        examples: &[
            "verify https://app.example.com --secret verify.secret",
            "verify https://app.example.com --only baggage,http/2 --repeat 50 \\
      --allow baggage=4096",
            "verify https://httpbin.example.com/anything --echo json",
        ],
        note: "An edgespan behind answers where `arrival` of its configuration has the same \
               secret. Requests carry known traceparent, tracestate, baggage and B3 headers over \
               HTTP/1.1 and HTTP/2, by GET and POST, to a WebSocket and through a redirect.",
        exit: "0 all survive, 1 a header does not or no account came back, 64 usage, 69 nobody \
               answers",
    },
    Help {
        command: "probe",
        examples: &[
            "probe probes/smoke.yaml",
            "probe checkout.yaml --base https://app.example.com --junit probe.xml",
            "probe checkout.yaml --spans jaeger+http://jaeger:16686 --json",
        ],
        note: "Each request carries a trace of its own, and its spans are asked for where --spans, \
               the file or EDGESPAN_URL says. docs/probe.md has everything that a file can say.",
        exit: "0 all of it held, 1 something did not, 64 usage, 69 nobody answers, 78 the file is \
               wrong",
    },
    Help {
        command: "schema",
        examples: &[
            "schema > edgespan.schema.json",
            "schema --markdown",
            "schema --for verify",
        ],
        note: "",
        exit: "0 done, 1 failed, 64 usage",
    },
    Help {
        command: "trace",
        examples: &[
            "trace find --flow escrow --error --last 30m",
            "trace show 4bf92f35",
            "trace tail --service payout --url jaeger+http://127.0.0.1:16686",
        ],
        note: "EDGESPAN_URL says whom to ask, EDGESPAN_TOKEN is sent as a bearer token.",
        exit: "0 done, 1 failed, 64 usage, 69 nobody to ask",
    },
    Help {
        command: "trace find",
        examples: &[
            "trace find --error --last 30m",
            "trace find --service payout --min 500ms --from 14:00 --to 14:30",
            "trace find --tag http.request.method=POST --json",
            "trace find --query '{ .flow = \"escrow\" && duration > 1s }'",
        ],
        note: "Conditions hold together: --service, --error and --tag of one span, --route, --flow, \
               --min and --max of the trace. In a pipe each trace is a line of tabs: start in UTC, \
               nanoseconds, status, spans, service, name, id. EDGESPAN_TOKEN is sent as a bearer \
               token.",
        exit: "0 done, though none matched; 1 failed, 64 usage, 69 nobody to ask",
    },
    Help {
        command: "trace show",
        examples: &[
            "trace show 4bf92f35",
            "trace show 4bf92f35 --svg > trace.svg",
            "trace show --json \\
      00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ],
        note: "A trace whose spans are on their way is waited for. In a pipe each span is a line.",
        exit: "0 shown, 1 not there or failed, 64 usage, 69 nobody to ask",
    },
    Help {
        command: "trace tail",
        examples: &["trace tail", "trace tail --error --json"],
        note: "An edgespan tells traces as they come; others are asked every two seconds. A trace \
               that grows is told again.",
        exit: "0 stopped, or nobody read on; 1 failed, 64 usage, 69 nobody to ask",
    },
    Help {
        command: "trace export",
        examples: &[
            "trace export 4bf92f35 -o slow.json",
            "trace export 4bf92f35 -o slow.pb",
            "trace export 4bf92f35 | curl -d @- \\
      -H content-type:application/json http://127.0.0.1:4318/v1/traces",
        ],
        note: "",
        exit: "0 done, 1 not there, a file is in the way, or failed, 64 usage, 69 nobody to ask",
    },
    Help {
        command: "man",
        examples: &["man | man -l -", "man --out /usr/local/share/man/man1"],
        note: "",
        exit: "0 done, 1 failed, 64 usage",
    },
    Help {
        command: "completions",
        examples: &[
            "completions bash > edgespan.bash",
            "completions zsh > _edgespan",
            "completions fish > edgespan.fish",
        ],
        note: "The scripts ask this program, which also knows recent ids, routes, flows and \
               services: those of whom EDGESPAN_URL names, else http://127.0.0.1:9901, if it answers \
               within 0.1 s.",
        exit: "0 done, 1 failed, 64 usage",
    },
];

const ALL: Help = Help {
    command: "",
    examples: &[
        "demo",
        "run --to http://127.0.0.1:3000",
        "check edgespan.yaml",
    ],
    note: "The standard OTEL_* variables are honoured, and so are NO_COLOR and CLICOLOR_FORCE.",
    exit: "0 done, 1 failed, 64 usage, 78 configuration, 130 second Ctrl-C",
};

/// `grammar` with the long help of every command. Examples name the program as it was started.
pub(super) fn told(grammar: Command, program: &str) -> Command {
    let whole = grammar.bin_name(program).after_long_help(ALL.text(program));
    COMMANDS.iter().fold(whole, |grammar, help| {
        told_of(grammar, help.command, &help.text(program))
    })
}

/// Commands may have commands of their own.
fn told_of(grammar: Command, path: &str, text: &str) -> Command {
    match path.split_once(' ') {
        Some((first, rest)) => grammar.mut_subcommand(first, |one| told_of(one, rest, text)),
        None => grammar.mut_subcommand(path, |one| one.after_long_help(text.to_owned())),
    }
}

impl Help {
    fn text(&self, program: &str) -> String {
        let mut text = String::from("Examples:");
        for example in self.examples {
            text.push_str(&format!("\n  {program} {example}"));
        }
        if !self.note.is_empty() {
            text.push_str(&format!("\n\n{}", self.note));
        }
        text.push_str(&format!("\n\nExit: {}", self.exit));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_stands_on_lines_that_can_be_copied() {
        for help in COMMANDS.iter().chain([&ALL]) {
            for line in help
                .text("edgespan")
                .lines()
                .take_while(|line| !line.is_empty())
            {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
