//! JUnit's XML, as CI systems read it: one suite of cases.
//!
//! Nobody owns the format. What is written here is what GitLab, Jenkins and the actions of GitHub
//! agree on: `testsuites`, `testsuite`, `testcase`, and within it `failure` or `skipped`.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Everything that one command checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suite {
    /// What was checked.
    pub name: String,
    /// How long it took in all.
    pub took: Duration,
    /// Each check.
    pub cases: Vec<Case>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it belongs to; CI systems group by it.
    pub group: String,
    /// What was checked.
    pub name: String,
    /// How long it took; zero if it has no time of its own.
    pub took: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed {
        /// One sentence.
        message: String,
        /// All there is to say, of any number of lines.
        details: String,
    },
    /// It was not checked.
    Skipped {
        /// Why.
        reason: String,
    },
}

impl Suite {
    /// The document.
    pub fn render(&self) -> String {
        let counts = self.counts();
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        // Writing to a string cannot fail.
        writeln!(out, "<testsuites{counts}>").unwrap_or_default();
        let name = escaped(&self.name);
        writeln!(out, "  <testsuite name=\"{name}\"{counts}>").unwrap_or_default();
        for case in &self.cases {
            case.render(&mut out);
        }
        out.push_str("  </testsuite>\n</testsuites>\n");
        out
    }

    /// Writes the document to a file, whole or not at all: a CI system may be reading.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let mut beside = file.as_os_str().to_owned();
        beside.push(".part");
        std::fs::write(&beside, self.render())?;
        std::fs::rename(&beside, file)
    }

    fn counts(&self) -> String {
        let of = |is: fn(&Outcome) -> bool| {
            let cases = self.cases.iter();
            cases.filter(|case| is(&case.outcome)).count()
        };
        let failed = of(|outcome| matches!(outcome, Outcome::Failed { .. }));
        let skipped = of(|outcome| matches!(outcome, Outcome::Skipped { .. }));
        format!(
            " tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{}\"",
            self.cases.len(),
            seconds(self.took)
        )
    }
}

impl Case {
    fn render(&self, out: &mut String) {
        let (group, name) = (escaped(&self.group), escaped(&self.name));
        let took = seconds(self.took);
        let open = format!("    <testcase classname=\"{group}\" name=\"{name}\" time=\"{took}\"");
        let written = match &self.outcome {
            Outcome::Passed => writeln!(out, "{open}/>"),
            Outcome::Failed { message, details } => writeln!(
                out,
                "{open}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                escaped(message),
                escaped(details)
            ),
            Outcome::Skipped { reason } => writeln!(
                out,
                "{open}>\n      <skipped message=\"{}\"/>\n    </testcase>",
                escaped(reason)
            ),
        };
        written.unwrap_or_default();
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// Text as XML 1.0 takes it, in elements and in attributes. Characters that it cannot hold at
/// all (section 2.2) are told by their number.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(character)));
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn case(outcome: Outcome) -> Case {
        Case {
            group: "verify.HTTP/2".to_owned(),
            name: "baggage 8 KiB".to_owned(),
            took: Duration::from_millis(1_250),
            outcome,
        }
    }

    #[test]
    fn a_suite_counts_its_cases_and_tells_each() {
        let failed = Outcome::Failed {
            message: "cut after \"4096\" bytes".to_owned(),
            details: "sent <a>\narrived &\u{1b}[2J".to_owned(),
        };
        let skipped = Outcome::Skipped {
            reason: "not spoken".to_owned(),
        };
        let suite = Suite {
            name: "edgespan verify".to_owned(),
            took: Duration::from_secs(2),
            cases: vec![case(Outcome::Passed), case(failed), case(skipped)],
        };

        insta::assert_snapshot!(suite.render(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites tests="3" failures="1" errors="0" skipped="1" time="2.000">
          <testsuite name="edgespan verify" tests="3" failures="1" errors="0" skipped="1" time="2.000">
            <testcase classname="verify.HTTP/2" name="baggage 8 KiB" time="1.250"/>
            <testcase classname="verify.HTTP/2" name="baggage 8 KiB" time="1.250">
              <failure message="cut after &quot;4096&quot; bytes">sent &lt;a&gt;&#10;arrived &amp;\u{1b}[2J</failure>
            </testcase>
            <testcase classname="verify.HTTP/2" name="baggage 8 KiB" time="1.250">
              <skipped message="not spoken"/>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn a_file_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.xml");
        let suite = Suite::default();

        suite.write(&file).unwrap();

        assert_eq!(std::fs::read_to_string(&file).unwrap(), suite.render());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    proptest! {
        #[test]
        fn no_text_ends_its_element(text in any::<String>()) {
            let written = escaped(&text);
            let ends = written.contains(['<', '>', '"', '\n', '\u{1b}', '\u{0}']);
            prop_assert!(!ends, "{}", written);
        }
    }
}
