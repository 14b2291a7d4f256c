//! An address on the command line that requests go to.

use crate::client::Target;
use url::{ParseError, Url};

/// Reads one. What is wrong with it is told as a person writes it.
///
/// # Errors
/// It is none, or of another scheme than `http` and `https`.
pub fn http_url(text: &str) -> Result<Url, String> {
    let told = |error: ParseError| {
        if error == ParseError::RelativeUrlWithoutBase {
            "there is no http:// or https://".to_owned()
        } else {
            error.to_string()
        }
    };
    let url: Url = text.parse().map_err(told)?;
    Target::of(&url).map_err(|error| error.to_string())?;
    Ok(url)
}
