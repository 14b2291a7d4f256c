//! The pages that people see. No script, both themes, buttons that a thumb hits.

use super::Person;
use std::borrow::Cow;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:12vh auto;\
    padding:0 1rem}h1{font-size:1.5rem;overflow-wrap:anywhere}button{display:block;width:100%;\
    min-height:44px;margin:.5rem 0;padding:.5rem 1rem;font:inherit;text-align:left;\
    border:1px solid;border-radius:.5rem;background:Canvas;color:CanvasText;cursor:pointer}\
    button:hover{background:CanvasText;color:Canvas}button.quiet{border:0;\
    text-decoration:underline}small{display:block}";

/// Who logs in?
pub(super) fn choose(people: &[Person], client: &str, request: &str) -> String {
    let mut buttons = String::new();
    for person in people {
        let factor = if person.has_second_factor {
            ", with a second factor"
        } else {
            ""
        };
        buttons.push_str(&format!(
            "<button name=\"person\" value=\"{}\">{}<small>{}{factor}</small></button>\n",
            escaped(&person.subject),
            escaped(&person.name),
            escaped(&person.groups.join(", ")),
        ));
    }
    let lead = format!(
        "<p>To go on to <b>{}</b>. This provider is made for trying things: nobody needs a \
         password.</p>\n",
        escaped(client)
    );
    page("Who are you?", &(lead + &form(request, &buttons)))
}

/// Is it really you?
pub(super) fn confirm(person: &Person, request: &str) -> String {
    let button = "<button name=\"factor\" value=\"shown\">Confirm</button>\n";
    let lead = format!(
        "<p>{}, a second factor is asked for. A click is one, here.</p>\n",
        escaped(&person.name)
    );
    page("One more step", &(lead + &form(request, button)))
}

/// Nothing can be done.
pub(super) fn refusal(words: &str) -> String {
    page(
        "This does not work",
        &format!("<p>{}.</p>\n", escaped(words)),
    )
}

/// Log out?
pub(super) fn ask_logout() -> String {
    let form = "<form method=\"post\" action=\"logout\">\n\
        <button name=\"logout\" value=\"yes\">Log out</button>\n</form>\n";
    page("Log out here?", form)
}

/// Logged out; each of `frames` is told by the browser.
pub(super) fn logged_out(frames: &[String], next: Option<&str>) -> String {
    let mut content = "<p>You are logged out.</p>\n".to_owned();
    for frame in frames {
        content.push_str(&format!(
            "<iframe src=\"{}\" title=\"logout\" hidden></iframe>\n",
            escaped(frame)
        ));
    }
    if let Some(next) = next {
        content.push_str(&format!("<p><a href=\"{}\">Go on</a></p>\n", escaped(next)));
    }
    page("Logged out", &content)
}

fn form(request: &str, buttons: &str) -> String {
    format!(
        "<form method=\"post\" action=\"login\">\n\
         <input type=\"hidden\" name=\"request\" value=\"{}\">\n{buttons}\
         <button class=\"quiet\" name=\"cancel\" value=\"yes\">Not now</button>\n</form>\n",
        escaped(request)
    )
}

fn page(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{content}</main>\n\
         </body>\n</html>\n"
    )
}

/// As text or in an attribute.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_and_never_markup() {
        let page = choose(&[Person::ada()], "<script>\"'&", "r");
        assert!(page.contains("&lt;script&gt;&quot;&#39;&amp;"));
        assert!(!page.contains("<script"));
    }
}
