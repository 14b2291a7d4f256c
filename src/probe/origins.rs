//! Which origins a probe's file names: only they get what proves who somebody is.
//!
//! An address may come from an answer (`url: "{{location}}"`), and whoever answered would choose
//! who is shown the file's credentials.

use super::plan::{Plan, Whither};
use super::values::Values;
use url::{Origin, Url};

/// The origins that a file names, by its base and by the addresses of its steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(Vec<Origin>);

impl Origins {
    /// Of a file, as long as nothing but its variables has a value.
    pub(super) fn of(plan: &Plan, base: Option<&Url>, values: &Values) -> Self {
        let named = plan.steps.iter().filter_map(|step| match &step.request.to {
            Whither::Url(url) => {
                let (known, is_all) = url.known(values);
                named(&known, is_all)
            }
            Whither::Path(_) => None,
        });
        Self::new(base.map(Url::origin).into_iter().chain(named))
    }

    /// These.
    pub(super) fn new(origins: impl IntoIterator<Item = Origin>) -> Self {
        Self(origins.into_iter().collect())
    }

    /// Whether the file names the origin of this address.
    pub(super) fn has(&self, url: &Url) -> bool {
        self.0.contains(&url.origin())
    }
}

/// The origin of an address of which the beginning is known; None while what follows may change
/// it, as in `https://app{{domain}}/`.
fn named(known: &str, is_all: bool) -> Option<Origin> {
    let url = Url::parse(known).ok()?;
    let (_, behind) = known.split_once("://")?;
    (is_all || behind.contains(['/', '?', '#', '\\'])).then(|| url.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_named_once_nothing_that_follows_can_change_it() {
        let origin = |url: &str| Url::parse(url).unwrap().origin();
        for (known, is_all, expected) in [
            ("https://app.test", true, Some("https://app.test")),
            ("https://app.test", false, None),
            ("https://app.test:84", false, None),
            ("https://a@app.test", false, None),
            ("https://app.test/", false, Some("https://app.test")),
            ("https://app.test?q=", false, Some("https://app.test")),
            ("https://app.test/a/", false, Some("https://app.test")),
            ("/a", true, None),
            ("", true, None),
            ("", false, None),
        ] {
            assert_eq!(named(known, is_all), expected.map(origin), "{known}");
        }
    }
}
