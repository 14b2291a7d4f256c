//! Who started this: a workflow of GitHub Actions, a systemd timer, cron, or a person.

use crate::config::Environment;
use std::path::Path;

/// How far up the processes it is looked for cron.
const ANCESTORS_MAX: usize = 6;

/// What the surroundings say, as span attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Origin {
    /// `trigger`
    pub(in crate::cli) trigger: Option<String>,
    /// `job.name`, where the surroundings have one.
    pub(in crate::cli) job: Option<String>,
    /// More: `cicd.*` and `vcs.*` of the semantic conventions.
    pub(in crate::cli) attributes: Vec<(&'static str, String)>,
}

/// Variables of GitHub Actions that say by themselves what an attribute of the conventions asks.
const GITHUB: [(&str, &str); 6] = [
    ("GITHUB_WORKFLOW", "cicd.pipeline.name"),
    ("GITHUB_RUN_ID", "cicd.pipeline.run.id"),
    ("GITHUB_JOB", "cicd.pipeline.task.name"),
    ("GITHUB_REF_NAME", "vcs.ref.head.name"),
    ("GITHUB_SHA", "vcs.ref.head.revision"),
    ("RUNNER_NAME", "cicd.worker.name"),
];

/// Finds out. `is_terminal`: whether a person may sit there.
pub(in crate::cli) fn find(environment: &Environment, is_terminal: bool) -> Origin {
    if environment.is_true("GITHUB_ACTIONS") {
        return github(environment);
    }
    let trigger = if environment.filled("INVOCATION_ID").is_some() && !is_terminal {
        // systemd sets it for every unit; a terminal's emulator may be a unit itself.
        Some("systemd")
    } else if is_terminal {
        Some("manual")
    } else {
        cron(Path::new("/proc")).then_some("cron")
    };
    Origin {
        trigger: trigger.map(str::to_owned),
        ..Origin::default()
    }
}

fn github(environment: &Environment) -> Origin {
    let owned = |name| environment.filled(name).map(str::to_owned);
    let told = GITHUB
        .into_iter()
        .filter_map(|(variable, key)| Some((key, owned(variable)?)));
    let mut attributes: Vec<_> = told.collect();
    let server = environment.filled("GITHUB_SERVER_URL");
    if let (Some(server), Some(repository)) = (server, environment.filled("GITHUB_REPOSITORY")) {
        let url = format!("{}/{repository}", server.trim_end_matches('/'));
        if let Some(run) = environment.filled("GITHUB_RUN_ID") {
            let run = format!("{url}/actions/runs/{run}");
            attributes.push(("cicd.pipeline.run.url.full", run));
        }
        attributes.push(("vcs.repository.url.full", url));
    }
    Origin {
        trigger: owned("GITHUB_EVENT_NAME"),
        job: owned("GITHUB_WORKFLOW"),
        attributes,
    }
}

/// Whether a cron is among our ancestors.
fn cron(proc: &Path) -> bool {
    let mut process = "self".to_owned();
    for _ in 0..ANCESTORS_MAX {
        let Ok(stat) = std::fs::read_to_string(proc.join(&process).join("stat")) else {
            return false;
        };
        let Some((name, parent)) = name_and_parent(&stat) else {
            return false;
        };
        if matches!(
            name,
            "cron" | "crond" | "anacron" | "fcron" | "busybox-crond"
        ) {
            return true;
        }
        process = parent.to_owned();
    }
    false
}

/// The second and the fourth field of `/proc/PID/stat`. The name may hold blanks and brackets.
fn name_and_parent(stat: &str) -> Option<(&str, &str)> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    let parent = rest.split_ascii_whitespace().nth(1)?;
    Some((name, parent)).filter(|(_, parent)| *parent != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_says_what_runs_and_why() {
        let environment: Environment = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "schedule"),
            ("GITHUB_WORKFLOW", "nightly"),
            ("GITHUB_JOB", "sweep"),
            ("GITHUB_RUN_ID", "77"),
            ("GITHUB_SERVER_URL", "https://github.example"),
            ("GITHUB_REPOSITORY", "shop/portal"),
            ("GITHUB_SHA", ""),
        ]
        .into_iter()
        .collect();

        let origin = find(&environment, false);

        assert_eq!(origin.trigger.as_deref(), Some("schedule"));
        assert_eq!(origin.job.as_deref(), Some("nightly"));
        let expected = [
            ("cicd.pipeline.name", "nightly"),
            ("cicd.pipeline.run.id", "77"),
            ("cicd.pipeline.task.name", "sweep"),
            (
                "cicd.pipeline.run.url.full",
                "https://github.example/shop/portal/actions/runs/77",
            ),
            (
                "vcs.repository.url.full",
                "https://github.example/shop/portal",
            ),
        ];
        let told: Vec<_> = origin
            .attributes
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_unit_is_told_from_a_person_at_a_terminal() {
        let unit: Environment = [("INVOCATION_ID", "1f")].into_iter().collect();

        assert_eq!(find(&unit, false).trigger.as_deref(), Some("systemd"));
        assert_eq!(find(&unit, true).trigger.as_deref(), Some("manual"));
    }

    #[test]
    fn cron_is_found_among_the_ancestors() {
        let proc = tempfile::tempdir().unwrap();
        for (process, stat) in [
            ("self", "30 (edgespan) S 20 1"),
            ("20", "20 (sh (a) b) S 10 1"),
            ("10", "10 (cron) S 1 1"),
        ] {
            std::fs::create_dir(proc.path().join(process)).unwrap();
            std::fs::write(proc.path().join(process).join("stat"), stat).unwrap();
        }
        assert!(cron(proc.path()));

        std::fs::write(proc.path().join("10/stat"), "10 (bash) S 0 1").unwrap();
        assert!(!cron(proc.path()));
    }
}
