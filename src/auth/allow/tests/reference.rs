//! Expressions over random claims say what a plain reading of them says.

use super::*;
use proptest::prelude::*;

/// An expression that this file can read without any library.
#[derive(Clone, Debug)]
enum Expression {
    Literal(bool),
    InGroups(String),
    AnyGroup(String),
    AllGroups(String),
    OneGroup(String),
    Chosen(String, usize),
    Org(String),
    HasOrg,
    Below(i64),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    If(Box<Self>, Box<Self>, Box<Self>),
}

use Expression::*;

/// None: an error.
type Outcome = Option<bool>;

#[derive(Clone, Debug)]
struct Claims {
    groups: Vec<String>,
    org: Option<String>,
    level: Option<i64>,
}

impl Expression {
    fn text(&self) -> String {
        match self {
            Literal(value) => value.to_string(),
            InGroups(name) => format!("'{name}' in claims.groups"),
            AnyGroup(name) => format!("claims.groups.exists(g, g == '{name}')"),
            AllGroups(start) => format!("claims.groups.all(g, g.startsWith('{start}'))"),
            OneGroup(name) => format!("claims.groups.exists_one(g, g == \"{name}\")"),
            Chosen(name, count) => {
                format!("claims.groups.filter(g, g.contains('{name}')).size() == {count}")
            }
            Org(name) => format!("claims[\"org\"] == '{name}'"),
            HasOrg => "has(claims.org)".to_owned(),
            Below(level) => format!("claims.level < {level}"),
            Not(one) => format!("!({})", one.text()),
            And(left, right) => format!("({} && {})", left.text(), right.text()),
            Or(left, right) => format!("({} || {})", left.text(), right.text()),
            If(which, then, other) => {
                format!("({} ? {} : {})", which.text(), then.text(), other.text())
            }
        }
    }

    fn read(&self, claims: &Claims) -> Outcome {
        let groups = || claims.groups.iter();
        match self {
            Literal(value) => Some(*value),
            InGroups(name) | AnyGroup(name) => Some(groups().any(|group| group == name)),
            AllGroups(start) => Some(groups().all(|group| group.starts_with(start.as_str()))),
            OneGroup(name) => Some(groups().filter(|group| *group == name).count() == 1),
            Chosen(name, count) => {
                let chosen = groups().filter(|group| group.contains(name.as_str()));
                Some(chosen.count() == *count)
            }
            Org(name) => claims.org.as_ref().map(|org| org == name),
            HasOrg => Some(claims.org.is_some()),
            Below(level) => claims.level.map(|own| own < *level),
            Not(one) => one.read(claims).map(|one| !one),
            // What decides alone passes over an error of the other side.
            And(left, right) => match (left.read(claims), right.read(claims)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (left, right) => left.and(right),
            },
            Or(left, right) => match (left.read(claims), right.read(claims)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (left, right) => left.and(right),
            },
            If(which, then, other) => {
                let which = which.read(claims)?;
                if which { then } else { other }.read(claims)
            }
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a".to_owned()),
        Just("ab".to_owned()),
        Just("b".to_owned()),
        Just("ä b".to_owned()),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Literal),
        name().prop_map(InGroups),
        name().prop_map(AnyGroup),
        name().prop_map(AllGroups),
        name().prop_map(OneGroup),
        (name(), 0..3_usize).prop_map(|(name, count)| Chosen(name, count)),
        name().prop_map(Org),
        Just(HasOrg),
        (-2..3_i64).prop_map(Below),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed().prop_map(Not),
            (boxed(), boxed()).prop_map(|(left, right)| And(left, right)),
            (boxed(), boxed()).prop_map(|(left, right)| Or(left, right)),
            (boxed(), boxed(), boxed()).prop_map(|(which, then, other)| If(which, then, other)),
        ]
    })
}

fn claims() -> impl Strategy<Value = Claims> {
    (
        proptest::collection::vec(name(), 0..4),
        proptest::option::of(name()),
        proptest::option::of(-2..3_i64),
    )
        .prop_map(|(groups, org, level)| Claims { groups, org, level })
}

proptest! {
    #[test]
    fn an_expression_says_what_a_plain_reading_says(one in expression(), claims in claims()) {
        let mut told = Map::new();
        told.insert("groups".into(), json!(claims.groups));
        if let Some(org) = &claims.org {
            told.insert("org".into(), json!(org));
        }
        if let Some(level) = claims.level {
            told.insert("level".into(), json!(level));
        }
        let text = one.text();
        // Chance may write more comprehensions than there may be.
        prop_assume!(text.matches("(g, ").count() <= 16);

        let outcome = Request::to("/").by(Value::Object(told)).ask(&text);

        let expected = match one.read(&claims) {
            Some(true) => Ok(()),
            Some(false) => Err(Refused::NotAllowed),
            None => Err(Refused::Failed(AllowError::Missing)),
        };
        prop_assert_eq!(outcome, expected, "{}", text);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,200}") {
        let _outcome = Allow::compile(&text);
    }

    #[test]
    fn no_sentence_of_the_language_breaks_the_reader_and_what_it_takes_can_be_asked(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "claims", "request", "identity", "route", ".", "groups", "path", "headers", "[",
                "]", "(", ")", "'a'", "\"b\"", "1", "1.5", "==", "!=", "&&", "||", "!", "-", "+",
                "in", "?", ":", ",", "exists", "all", "filter", "has", "x", "size", "matches",
                "null", "true", "{", "}", "<", " ",
            ]),
            0..20,
        )
    ) {
        let text = words.concat();
        if Allow::compile(&text).is_ok() {
            let _outcome = sample().ask(&text);
        }
    }
}
