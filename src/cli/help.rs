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
            "explain edgespan.yaml /api -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'",
            "explain edgespan.yaml - < pasted-curl-line",
        ],
        note: "The request runs through the code of every request, with an upstream in memory: \
               nothing is sent.",
        exit: "0 explained, 1 failed, 64 usage, 78 configuration",
    },
    Help {
        command: "schema",
        examples: &[
            "schema > edgespan.schema.json",
            "schema --markdown",
            "schema --for find",
        ],
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
        note: "",
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
        grammar.mut_subcommand(help.command, |one| one.after_long_help(help.text(program)))
    })
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
