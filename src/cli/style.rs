//! How a stream is written to: colours, glyphs and width.
//!
//! Decided once for each stream, from the command line, the environment and the stream itself.
//! Only the foregrounds that every theme remaps are used, and no colour says what the text does
//! not.

use super::escape;
use crate::config::Look;
use anstyle::{AnsiColor, Style};
use std::fmt;
use std::io::IsTerminal;

/// Columns of a stream that does not say how wide it is.
const COLUMNS_DEFAULT: usize = 80;
/// Narrower than this, nothing can be laid out; wider than this, a row is not read as one.
const COLUMNS_MIN: usize = 24;
const COLUMNS_MAX: usize = 400;

/// What `--color` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColourChoice {
    /// By the environment and the stream.
    #[default]
    Auto,
    /// Escapes everywhere.
    Always,
    /// No escapes anywhere.
    Never,
}

impl ColourChoice {
    /// Whether a stream gets colour: `--color`, then `NO_COLOR` (not empty), `CLICOLOR_FORCE`,
    /// `TERM=dumb`, and at last whether the stream is a terminal.
    pub fn decide(self, variable: &dyn Fn(&str) -> Option<String>, is_terminal: bool) -> bool {
        let says = |name: &str| variable(name).filter(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if says("NO_COLOR").is_some() => false,
            Self::Auto if says("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            Self::Auto if says("TERM").is_some_and(|value| value == "dumb") => false,
            Self::Auto => is_terminal,
        }
    }
}

/// Writes text in a role's colour, or plainly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// With colour or without.
    pub const fn new(on: bool) -> Self {
        Self { on }
    }

    /// Whether there is colour at all.
    pub const fn is_on(self) -> bool {
        self.on
    }

    /// Methods, routes, addresses.
    pub fn bold<'a>(self, text: &'a str) -> Painted<'a> {
        self.with(Style::new().bold(), text)
    }

    /// Errors: the cross, 5xx, the word `error`.
    pub fn red<'a>(self, text: &'a str) -> Painted<'a> {
        self.with(AnsiColor::Red.on_default(), text)
    }

    /// Warnings and 4xx.
    pub fn yellow<'a>(self, text: &'a str) -> Painted<'a> {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    /// Services.
    pub fn cyan<'a>(self, text: &'a str) -> Painted<'a> {
        self.with(AnsiColor::Cyan.on_default(), text)
    }

    /// Ids.
    pub fn dim<'a>(self, text: &'a str) -> Painted<'a> {
        self.with(Style::new().dimmed(), text)
    }

    const fn with<'a>(self, style: Style, text: &'a str) -> Painted<'a> {
        let style = if self.on { Some(style) } else { None };
        Painted { text, style }
    }
}

/// Text with its colour around it, if there is any.
#[derive(Clone, Copy, Debug)]
pub struct Painted<'a> {
    text: &'a str,
    style: Option<Style>,
}

impl Painted<'_> {
    /// How many columns it takes.
    pub fn columns(&self) -> usize {
        escape::columns(self.text)
    }
}

impl fmt::Display for Painted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) if !self.text.is_empty() => {
                write!(f, "{style}{}{style:#}", self.text)
            }
            Some(_) | None => f.write_str(self.text),
        }
    }
}

/// The signs a tree is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// Before a failure.
    pub cross: &'static str,
    /// For what is left out.
    pub ellipsis: &'static str,
    /// A branch with more below.
    pub tee: &'static str,
    /// The last branch.
    pub corner: &'static str,
    /// Past a branch with more below.
    pub pipe: &'static str,
    /// A bar's cells by eighths: one eighth first, the whole cell last.
    pub eighths: [&'static str; 8],
    /// A bar's cell that lies beside the critical path.
    pub beside: &'static str,
    /// A cell in which nothing runs.
    pub gap: &'static str,
    /// How often.
    pub times: &'static str,
}

impl Glyphs {
    /// For terminals that show UTF-8.
    pub const UNICODE: Self = Self {
        cross: "✗",
        ellipsis: "…",
        tee: "├",
        corner: "└",
        pipe: "│",
        eighths: ["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"],
        beside: "░",
        gap: "·",
        times: "×",
    };

    /// For all others.
    pub const ASCII: Self = Self {
        cross: "!",
        ellipsis: "...",
        tee: "+",
        corner: "`",
        pipe: "|",
        eighths: ["#"; 8],
        beside: "-",
        gap: ".",
        times: "x",
    };

    /// By the locale's character set; the Linux console has no glyphs for bars.
    pub fn of(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let says = |name: &str| variable(name).filter(|value| !value.is_empty());
        let locale = says("LC_ALL")
            .or_else(|| says("LC_CTYPE"))
            .or_else(|| says("LANG"))
            .unwrap_or_default()
            .to_ascii_lowercase();
        let utf8 = locale.contains("utf-8") || locale.contains("utf8");
        if utf8 && says("TERM").as_deref() != Some("linux") {
            Self::UNICODE
        } else {
            Self::ASCII
        }
    }
}

/// Which of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

/// How wide a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Fixed(usize),
    /// Asked each time, for a window may be resized.
    Measured(Stream),
}

/// Everything to know about a stream before writing to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surface {
    /// Whether a person watches it.
    pub is_terminal: bool,
    /// Its colours.
    pub paint: Paint,
    /// Its signs.
    pub glyphs: Glyphs,
    width: Width,
}

impl Surface {
    /// The same for the renderer of diagnostics, which draws in ASCII.
    pub fn look(&self) -> Look {
        Look {
            width: self.columns(),
            color: self.paint.is_on(),
            unicode: false,
            all: false,
        }
    }

    /// Standard output.
    pub fn stdout(choice: ColourChoice, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        Self::new(Stream::Stdout, is_terminal, choice, variable)
    }

    /// Standard error.
    pub fn stderr(choice: ColourChoice, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self::new(Stream::Stderr, is_terminal, choice, variable)
    }

    /// A terminal of this many columns, whatever the environment says.
    pub const fn fixed(columns: usize, paint: Paint, glyphs: Glyphs) -> Self {
        Self {
            is_terminal: true,
            paint,
            glyphs,
            width: Width::Fixed(columns),
        }
    }

    /// The same, as if it led into a pipe.
    #[must_use]
    pub const fn piped(mut self) -> Self {
        self.is_terminal = false;
        self
    }

    fn new(
        stream: Stream,
        is_terminal: bool,
        choice: ColourChoice,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let named = variable("COLUMNS").and_then(|text| text.parse::<usize>().ok());
        Self {
            is_terminal,
            paint: Paint::new(choice.decide(variable, is_terminal)),
            glyphs: Glyphs::of(variable),
            width: named
                .filter(|columns| *columns > 0)
                .map_or(Width::Measured(stream), Width::Fixed),
        }
    }

    /// Its columns now, within what a layout can use.
    pub fn columns(&self) -> usize {
        let columns = match self.width {
            Width::Fixed(columns) => columns,
            Width::Measured(Stream::Stdout) => measured(std::io::stdout()),
            Width::Measured(Stream::Stderr) => measured(std::io::stderr()),
        };
        columns.clamp(COLUMNS_MIN, COLUMNS_MAX)
    }

    /// `text` on at most `columns` columns, an ellipsis where it was cut.
    pub fn cut(&self, text: &str, columns: usize) -> String {
        escape::cut(text, columns, self.glyphs.ellipsis)
    }
}

fn measured(stream: impl std::os::fd::AsFd) -> usize {
    terminal_size::terminal_size_of(stream).map_or(COLUMNS_DEFAULT, |(width, _)| width.0.into())
}

/// A variable of the process's environment; one that is not UTF-8 counts as not set.
pub fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    #[track_caller]
    fn colour(
        choice: ColourChoice,
        pairs: &'static [(&str, &str)],
        is_terminal: bool,
        expected: bool,
    ) {
        assert_eq!(choice.decide(&of(pairs), is_terminal), expected);
    }

    #[test]
    fn colour_follows_the_flag_then_the_variables_then_the_stream() {
        use ColourChoice::{Always, Auto, Never};
        colour(Always, &[("NO_COLOR", "1")], false, true);
        colour(Never, &[("CLICOLOR_FORCE", "1")], true, false);
        colour(
            Auto,
            &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")],
            true,
            false,
        );
        colour(Auto, &[("NO_COLOR", "")], true, true);
        colour(
            Auto,
            &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")],
            false,
            true,
        );
        colour(Auto, &[("CLICOLOR_FORCE", "0")], false, false);
        colour(Auto, &[("TERM", "dumb")], true, false);
        colour(Auto, &[], true, true);
        colour(Auto, &[], false, false);
    }

    #[test]
    fn glyphs_follow_the_locale_that_wins() {
        let check = |pairs, expected| assert_eq!(Glyphs::of(&of(pairs)), expected, "{pairs:?}");
        check(&[("LANG", "de_DE.UTF-8")], Glyphs::UNICODE);
        check(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")], Glyphs::ASCII);
        check(
            &[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")],
            Glyphs::UNICODE,
        );
        check(&[("LANG", "C.UTF-8"), ("TERM", "linux")], Glyphs::ASCII);
        check(&[], Glyphs::ASCII);
    }

    #[test]
    fn columns_come_from_the_variable_and_stay_within_reason() {
        let surface = |columns: &'static [(&str, &str)]| {
            Surface::new(Stream::Stdout, false, ColourChoice::Never, &of(columns)).columns()
        };
        assert_eq!(surface(&[("COLUMNS", "60")]), 60);
        assert_eq!(surface(&[("COLUMNS", "3")]), COLUMNS_MIN);
        assert_eq!(surface(&[("COLUMNS", "999999")]), COLUMNS_MAX);
    }

    #[test]
    fn paint_that_is_off_writes_no_escape() {
        assert_eq!(Paint::new(false).red("✗ 502").to_string(), "✗ 502");
        assert_eq!(
            Paint::new(true).red("✗ 502").to_string(),
            "\u{1b}[31m✗ 502\u{1b}[0m"
        );
        assert_eq!(Paint::new(true).bold("").to_string(), "");
    }
}
