//! Texts with holes: `/orders/{{order}}`.
//!
//! What fills a hole is a variable of the file or what a step before has captured. Which names
//! there are is known before anything is sent, so a hole that nothing fills is refused then.

use super::values::{Secret, Values};
use serde_json::Value;

/// A text with holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A text that nobody may see.
    Secret(Secret),
    Hole(String),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// `{{` without `}}`.
    #[error("`{{{{` has no `}}}}` behind it")]
    Open,
    /// Something else than a name between them.
    #[error("between `{{{{` and `}}}}` stands a name of letters, digits, `_` and `-`")]
    Name,
}

/// Whether a variable or a capture may be called this.
pub fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !text.is_empty() && text.bytes().all(known)
}

impl Template {
    /// Reads a text; blanks around a name count for nothing.
    ///
    /// # Errors
    /// [`BadTemplate`].
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or(BadTemplate::Open)?;
            let name = name.trim();
            if !is_name(name) {
                return Err(BadTemplate::Name);
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Hole(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// A text that nobody may see, and in which nothing is looked for.
    pub fn secret(text: &str) -> Self {
        Self {
            parts: vec![Part::Secret(Secret::new(text))],
        }
    }

    /// The same, with none of its texts to be seen.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        for part in &mut self.parts {
            if let Part::Text(text) = part {
                *part = Part::Secret(Secret::new(text.as_str()));
            }
        }
        self
    }

    /// The names of its holes, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(name) => Some(name.as_str()),
            Part::Text(_) | Part::Secret(_) => None,
        })
    }

    /// Whether it has holes.
    pub fn has_holes(&self) -> bool {
        self.names().next().is_some()
    }

    /// With every hole filled; a name without a value, because its step failed, fills nothing.
    pub fn render(&self, values: &Values) -> String {
        self.render_with(values, str::to_owned)
    }

    /// What stands before the first hole for which there is no value yet, and whether that is all.
    pub fn known(&self, values: &Values) -> (String, bool) {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Secret(secret) => out.push_str(secret.expose()),
                Part::Hole(name) => match values.get(name) {
                    Some(value) => out.push_str(value),
                    None => return (out, false),
                },
            }
        }
        (out, true)
    }

    /// The same, with what fills a hole changed by `encode` first. A hole that is all there is
    /// stays as it is: `url: "{{location}}"` means the whole.
    pub fn render_encoded(&self, values: &Values, encode: fn(&str) -> String) -> String {
        match self.parts.as_slice() {
            [Part::Hole(name)] => values.get(name).unwrap_or_default().to_owned(),
            _ => self.render_with(values, encode),
        }
    }

    fn render_with(&self, values: &Values, encode: fn(&str) -> String) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Secret(secret) => out.push_str(secret.expose()),
                Part::Hole(name) => out.push_str(&encode(values.get(name).unwrap_or_default())),
            }
        }
        out
    }
}

/// A JSON document whose texts have holes.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTemplate {
    /// A text.
    Text(Template),
    /// A number, a truth value, nothing.
    Plain(Value),
    /// A list.
    List(Vec<Self>),
    /// A map, in its order.
    Map(Vec<(String, Self)>),
}

impl JsonTemplate {
    /// With every hole filled. What fills one is a text within JSON, whatever it looks like.
    pub fn render(&self, values: &Values) -> Value {
        match self {
            Self::Text(template) => Value::String(template.render(values)),
            Self::Plain(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.render(values)).collect(),
            Self::Map(entries) => {
                let entries = entries.iter();
                let rendered = entries.map(|(key, value)| (key.clone(), value.render(values)));
                Value::Object(rendered.collect())
            }
        }
    }

    /// Whether it is one text with holes, whose value has no type of its own.
    pub fn is_filled_text(&self) -> bool {
        matches!(self, Self::Text(template) if template.has_holes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        let mut values = Values::default();
        for (name, value) in pairs {
            values.set(name, (*value).to_owned(), false);
        }
        values
    }

    #[test]
    fn holes_are_filled_and_all_else_stays() {
        let filled = |text: &str| {
            let values = values(&[("a", "1"), ("order-id", "x/y")]);
            Template::parse(text).unwrap().render(&values)
        };
        assert_eq!(filled("/o/{{order-id}}?a={{ a }}"), "/o/x/y?a=1");
        assert_eq!(filled("{a} }} {"), "{a} }} {");
        assert_eq!(filled(""), "");
    }

    #[test]
    fn a_value_is_not_looked_at_again() {
        let values = values(&[("a", "{{b}}"), ("b", "secret")]);
        assert_eq!(Template::parse("{{a}}").unwrap().render(&values), "{{b}}");
    }

    #[test]
    fn what_fills_a_part_is_encoded_and_what_is_the_whole_is_not() {
        let values = values(&[("a", "/x?y")]);
        let rendered = |text: &str| {
            let template = Template::parse(text).unwrap();
            template.render_encoded(&values, |text| text.replace('/', "%2F"))
        };
        assert_eq!(rendered("/o/{{a}}"), "/o/%2Fx?y");
        assert_eq!(rendered("{{a}}"), "/x?y");
    }

    #[test]
    fn a_hole_without_an_end_or_a_name_is_refused() {
        assert_eq!(Template::parse("a {{b"), Err(BadTemplate::Open));
        assert_eq!(Template::parse("{{}}"), Err(BadTemplate::Name));
        assert_eq!(Template::parse("{{a b}}"), Err(BadTemplate::Name));
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_is_refused(text in "[{}a -]{0,20}") {
            if let Ok(template) = Template::parse(&text) {
                prop_assert_eq!(template.has_holes(), text.contains("{{"));
                let names = template.names().count();
                prop_assert_eq!(names, text.matches("{{").count().min(names));
            }
        }

        #[test]
        fn a_text_without_holes_comes_out_as_it_went_in(text in "[^{]{0,40}") {
            let template = Template::parse(&text).unwrap();
            prop_assert_eq!(template.render(&Values::default()), text);
        }
    }
}
