//! What a shell has to set: lines for `eval`, or for the environment file of a workflow.

use clap::ValueEnum;

/// Whose lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For sh, bash, zsh.
    Sh,
    /// For fish.
    Fish,
    /// Lines of `$GITHUB_ENV`.
    Github,
}

/// Variables to set, and those to unset.
#[derive(Clone, Debug, Default)]
pub(super) struct Assignments(Vec<(&'static str, Option<String>)>);

impl Assignments {
    /// Sets `name`.
    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.0.push((name, Some(value.to_owned())));
    }

    /// Sets `name`, or takes it away.
    pub(super) fn set_or_unset(&mut self, name: &'static str, value: Option<&str>) {
        self.0.push((name, value.map(str::to_owned)));
    }

    /// The lines. A workflow's file cannot unset: there a variable becomes empty.
    pub(super) fn text(&self, form: Form) -> String {
        let line = |(name, value): &(&str, Option<String>)| match (form, value) {
            (Form::Sh, Some(value)) => format!("export {name}={}\n", quoted(value, "'\\''")),
            (Form::Sh, None) => format!("unset {name}\n"),
            (Form::Fish, Some(value)) => {
                let value = value.replace('\\', "\\\\");
                format!("set -gx {name} {}\n", quoted(&value, "\\'"))
            }
            (Form::Fish, None) => format!("set -e {name}\n"),
            (Form::Github, value) => {
                // A line break would begin another variable.
                let value = value.as_deref().unwrap_or_default();
                format!("{name}={}\n", value.replace(['\n', '\r'], ""))
            }
        };
        self.0.iter().map(line).collect()
    }
}

/// In single quotes, within which a shell reads nothing but their end.
fn quoted(value: &str, quote: &str) -> String {
    format!("'{}'", value.replace('\'', quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Assignments {
        let mut set = Assignments::default();
        set.set("TRACESTATE", "a='$(rm)'\\");
        set.set_or_unset("EDGESPAN_SPAN", None);
        set
    }

    #[test]
    fn no_value_is_read_by_the_shell() {
        assert_eq!(
            some().text(Form::Sh),
            "export TRACESTATE='a='\\''$(rm)'\\''\\'\nunset EDGESPAN_SPAN\n"
        );
        assert_eq!(
            some().text(Form::Fish),
            "set -gx TRACESTATE 'a=\\'$(rm)\\'\\\\'\nset -e EDGESPAN_SPAN\n"
        );
    }

    #[test]
    fn a_value_begins_no_second_variable_of_a_workflow() {
        let mut set = Assignments::default();
        set.set("TRACESTATE", "a=1\nPATH=/evil");

        assert_eq!(set.text(Form::Github), "TRACESTATE=a=1PATH=/evil\n");
    }
}
