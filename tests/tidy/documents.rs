//! What documents say of the tree is so: links resolve, tests that are named exist, and no code of a
//! failure answer goes without its line.

use super::{none, root, rust_files, text_files};
use std::collections::HashSet;
use std::path::Path;

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let mut broken = Vec::new();
    for (name, text) in documents() {
        for target in links(&text) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let own = path.is_empty();
            let place = Path::new(&name).parent().unwrap().join(path);
            let place = root().join(if own { Path::new(&name) } else { &place });
            if !place.exists() {
                broken.push(format!("{name}: {target}"));
            } else if !anchor.is_empty() {
                let there = std::fs::read_to_string(&place).unwrap_or_default();
                if !anchors(&there).contains(anchor) {
                    broken.push(format!("{name}: {target} (no such heading)"));
                }
            }
        }
    }
    none(
        &broken,
        "a link leads to a file, and to a heading that it has",
    );
}

#[test]
fn every_test_that_the_readme_names_exists() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let tests: String = rust_files().into_iter().map(|file| file.text).collect();
    let (_, promises) = readme.split_once("## What it promises").unwrap();
    let (promises, _) = promises.split_once("\n## ").unwrap();
    let named: Vec<&str> = promises
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.matches('_').count() >= 2)
        .filter(|code| !code.contains(|one: char| !one.is_ascii_alphanumeric() && one != '_'))
        .collect();
    assert!(
        named.len() >= 10,
        "the promises name their tests: {named:?}"
    );

    let missing: Vec<String> = named
        .into_iter()
        .filter(|test| !tests.contains(&format!("fn {test}(")))
        .map(str::to_owned)
        .collect();
    none(&missing, "a promise is kept by a test that exists");
}

#[test]
fn every_test_that_is_told_to_keep_an_attack_off_exists() {
    let page = std::fs::read_to_string(root().join("docs/auth-attacks.md")).unwrap();
    let tests: String = rust_files().into_iter().map(|file| file.text).collect();
    // The last column of each table.
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let columns = rows.filter_map(|line| line.trim_end_matches(" |").rsplit_once(" | "));
    let named: Vec<&str> = columns
        .flat_map(|(_, tests)| tests.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() >= 40, "tests of the page: {named:?}");

    let missing: Vec<String> = named
        .into_iter()
        .filter(|test| !tests.contains(&format!("fn {test}(")))
        .map(str::to_owned)
        .collect();
    none(&missing, "what is said to be kept off is tried");
}

#[test]
fn every_code_of_a_failure_answer_is_documented() {
    let mut sources = rust_files();
    sources.retain(|file| file.name.starts_with("src/proxy/"));
    let source: String = sources.into_iter().map(|file| file.text).collect();
    let page = std::fs::read_to_string(root().join("docs/failures.md")).unwrap();
    // `Answer::new(status, fault, code, ...)`: the first text of each is the code.
    let codes: Vec<&str> = source
        .split("Answer::new(")
        .skip(1)
        .filter_map(|call| call.split('"').nth(1))
        .collect();
    assert!(codes.len() >= 10, "codes of the source: {codes:?}");

    let missing: Vec<String> = codes
        .iter()
        .filter(|code| !page.contains(&format!("| `{code}` |")))
        .map(|code| (*code).to_owned())
        .collect();
    none(&missing, "callers look their code up in docs/failures.md");
}

#[test]
fn every_reason_to_refuse_is_documented() {
    let source = std::fs::read_to_string(root().join("src/message/refusal.rs")).unwrap();
    let page = std::fs::read_to_string(root().join("docs/failures.md")).unwrap();
    let (_, ids) = source.split_once("fn id(").unwrap();
    let ids: Vec<&str> = ids.split('"').skip(1).step_by(2).collect();
    assert!(ids.len() >= 15, "reasons of the source: {ids:?}");

    let missing: Vec<String> = ids
        .iter()
        .filter(|id| !page.contains(&format!("`{id}`")))
        .map(|id| (*id).to_owned())
        .collect();
    none(&missing, "operators look a reason up in docs/failures.md");
}

#[test]
fn every_metric_is_documented() {
    let page = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let of_metrics = |name: &str| {
        let folder = name.starts_with("src/telemetry/metrics/") && !name.ends_with("/tests.rs");
        folder || name == "src/admin/spans.rs" || name == "src/admin/telemetry.rs"
    };
    let mut families = HashSet::new();
    for file in rust_files().iter().filter(|file| of_metrics(&file.name)) {
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        let texts = code.split('"').skip(1).step_by(2);
        families.extend(texts.filter(|text| is_family(text)).map(str::to_owned));
    }
    assert!(families.len() >= 20, "families of the source: {families:?}");

    let mut missing: Vec<String> = families
        .into_iter()
        .filter(|family| !page.contains(&format!("`{family}")))
        .collect();
    missing.sort();
    none(&missing, "operators look a metric up in docs/operations.md");
}

fn is_family(text: &str) -> bool {
    let families = [
        "edgespan_",
        "http_server_",
        "http_client_",
        "otel_sdk_",
        "process_",
    ];
    families.iter().any(|start| text.starts_with(start))
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Names and texts of all Markdown files.
fn documents() -> Vec<(String, String)> {
    let mut files = text_files();
    files.retain(|(name, _)| name.ends_with(".md"));
    assert!(files.len() > 5, "the documents are where they were");
    files
}

/// Targets of inline links, but for those that leave the tree. Code is no link.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for paragraph in without_code_blocks(text).split("](").skip(1) {
        let target = paragraph.split(')').next().unwrap_or_default();
        if !target.contains("://") && !target.contains(char::is_whitespace) {
            targets.push(target.to_owned());
        }
    }
    targets
}

fn without_code_blocks(text: &str) -> String {
    let blocks = text.split("```");
    blocks.step_by(2).collect()
}

/// Anchors of a document's headings, as renderers make them.
fn anchors(text: &str) -> HashSet<String> {
    let headings = without_code_blocks(text);
    let headings = headings.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_'));
            kept.map(|one| if one == ' ' { '-' } else { one }).collect()
        })
        .collect()
}
