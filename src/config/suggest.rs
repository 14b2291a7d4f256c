//! "Did you mean": the one name that a wrong one resembles.

/// The candidate that `wrong` most likely stands for; None if nothing is near.
pub(in crate::config) fn nearest<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let folded = fold(wrong);
    let longest = folded.chars().count();
    // A third of the letters may differ, as rustc has it; one in words of three or four.
    let most = (longest / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&folded, &fold(candidate)),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= most && *distance < longest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `clientAddress`, `client-address` and `client_address` are one name to a reader.
fn fold(name: &str) -> String {
    name.chars()
        .take(64)
        .filter(|one| !matches!(one, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wrong: &str, candidates: &[&str], expected: Option<&str>) {
        assert_eq!(nearest(wrong, candidates.iter().copied()), expected);
    }

    #[test]
    fn a_misspelt_name_finds_the_right_one() {
        check("adress", &["address", "mode", "tls"], Some("address"));
        check(
            "trustedProxies",
            &["tls", "trusted_proxies"],
            Some("trusted_proxies"),
        );
        check("gatway", &["gateway"], Some("gateway"));
        check("contents", &["content"], Some("content"));
        check("tsl", &["tls", "mode"], Some("tls"));
    }

    #[test]
    fn a_name_that_resembles_nothing_finds_nothing() {
        check("banana", &["address", "mode"], None);
        check("x", &["y"], None);
        check("", &["a"], None);
        check("retries", &["routes"], None);
    }
}
