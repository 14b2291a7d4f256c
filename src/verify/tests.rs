//! Verdicts: each by its example, and what holds for any two lists of lines.

use super::compare::{Kind, Line, compare};
use super::verdict::{How, Verdict};
use proptest::prelude::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";

fn lines(name: &str, values: &[&str]) -> Vec<Line> {
    let line = |value: &&str| (name.to_owned(), (*value).to_owned());
    values.iter().map(line).collect()
}

fn verdict(kind: Kind, name: &str, sent: &[&str], arrived: &[&str]) -> Verdict {
    compare(
        kind,
        &lines(name, sent),
        &lines(&name.to_ascii_uppercase(), arrived),
        &[],
    )
}

fn how(verdict: Verdict) -> How {
    let Verdict::Changed(change) = verdict else {
        panic!("no change: {verdict:?}");
    };
    change.how
}

#[test]
fn a_traceparent_is_intact_joined_unsampled_restarted_or_lost() {
    let of = |arrived: &[&str]| verdict(Kind::Traceparent, "traceparent", &[PARENT], arrived);
    assert_eq!(of(&[PARENT]), Verdict::Intact);
    assert_eq!(of(&[]), Verdict::Lost);
    assert_eq!(of(&[PARENT, PARENT]), Verdict::Duplicated);
    let joined = PARENT.replace("00f067aa0ba902b7", "b7ad6b7169203331");
    assert_eq!(of(&[&joined]), Verdict::Joined { random_lost: false });
    let level_1 = joined.replace("-03", "-01");
    assert_eq!(of(&[&level_1]), Verdict::Joined { random_lost: true });
    assert_eq!(of(&[&joined.replace("-03", "-02")]), Verdict::Unsampled);
    assert_eq!(of(&[&joined.replace("4bf9", "0af7")]), Verdict::Restarted);
    assert_eq!(how(of(&[&PARENT.to_ascii_uppercase()])), How::Case);
    assert_eq!(
        how(of(&[PARENT.split_at(20).0])),
        How::Cut {
            bytes: 20,
            in_member: false
        }
    );
}

#[test]
fn a_tracestate_is_merged_extended_or_out_of_order() {
    let of =
        |arrived: &[&str]| verdict(Kind::Tracestate, "tracestate", &["a=1", "b=2,c=3"], arrived);
    assert_eq!(of(&["a=1", "b=2,c=3"]), Verdict::Intact);
    assert_eq!(of(&["a=1, b=2, c=3"]), Verdict::Merged);
    assert_eq!(of(&["a=1", "b=2", "c=3"]), Verdict::Split);
    assert_eq!(of(&["a=1", "b=2, c=3"]), Verdict::Respaced);
    assert_eq!(of(&["b=2,c=3,a=1"]), Verdict::Reordered);
    assert_eq!(
        of(&["v=0,a=1,b=2,c=3"]),
        Verdict::Extended("v=0".to_owned())
    );
    assert_eq!(of(&["a=1", "a=1", "b=2,c=3"]), Verdict::Duplicated);
    assert_eq!(
        how(of(&["a=1"])),
        How::LinesLost {
            arrived: 1,
            sent: 2
        }
    );
    assert_eq!(
        how(of(&["a=1,c=3"])),
        How::MembersLost {
            arrived: 2,
            sent: 3
        }
    );
}

#[test]
fn a_baggage_tells_how_it_was_changed() {
    let sent = "k=a%20b,user=4711;internal,z=1";
    let of = |arrived: &str| how(verdict(Kind::Baggage, "baggage", &[sent], &[arrived]));
    assert_eq!(of("k=a b,user=4711;internal,z=1"), How::Reencoded);
    assert_eq!(of("k=a%20b,user=4711,z=1"), How::PropertiesLost);
    assert_eq!(
        of("k=a%20b,user=47"),
        How::Cut {
            bytes: 15,
            in_member: true
        }
    );
    assert_eq!(
        of("k=a%20b"),
        How::Cut {
            bytes: 7,
            in_member: false
        }
    );
    assert_eq!(of("k=other,user=4711;internal,z=1"), How::Other);
}

#[test]
fn the_place_of_a_change_is_shown_with_what_stands_around_it() {
    let members: Vec<String> = (0..99)
        .map(|number| format!("k{number:02}=aaaaaaaa"))
        .collect();
    let sent = members.join(",");
    let (cut, _) = sent.split_at(sent.len() - 14);
    let Verdict::Changed(change) = verdict(Kind::Baggage, "baggage", &[&sent], &[cut]) else {
        panic!("not changed");
    };
    assert_eq!(change.arrived, "…,k96=aaaaaaaa,k97=aaaaaaa");
    assert_eq!(change.sent, "…,k96=aaaaaaaa,k97=aaaaaaaa,k98=aaaaaaaa");
}

#[test]
fn several_headers_of_b3_are_one_context() {
    let sent = [
        ("x-b3-traceid", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("x-b3-spanid", "00f067aa0ba902b7"),
        ("x-b3-sampled", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let of = |change: fn(&mut Vec<Line>)| {
        let mut arrived = sent.to_vec();
        arrived.reverse();
        change(&mut arrived);
        compare(Kind::B3Multi, &sent, &arrived, &[])
    };
    assert_eq!(of(|_| {}), Verdict::Intact);
    assert_eq!(of(Vec::clear), Verdict::Lost);
    assert_eq!(
        of(|lines| lines[1].1 = "b7ad6b7169203331".into()),
        Verdict::Joined { random_lost: false }
    );
    assert_eq!(
        of(|lines| lines[2].1 = "0".repeat(31) + "1"),
        Verdict::Restarted
    );
    assert_eq!(
        how(of(|lines| lines[2].1 = "a3ce929d0e0e4736".into())),
        How::Shortened
    );
    assert_eq!(of(|lines| lines[0].1 = "0".into()), Verdict::Unsampled);
    assert_eq!(
        how(of(|lines| drop(lines.remove(0)))),
        How::LinesLost {
            arrived: 2,
            sent: 3
        }
    );
}

#[test]
fn a_credential_that_arrived_is_no_loss() {
    let sent = lines("x-api-key", &["0"]);
    let removed = ["X-Api-Key".to_owned()];
    assert_eq!(compare(Kind::Plain, &sent, &[], &removed), Verdict::Untold);
}

#[test]
fn no_value_of_a_credential_is_in_a_report() {
    let sent = lines("x-api-key", &["hunter2"]);
    let arrived = lines("x-api-key", &["hunter"]);
    let verdict = compare(Kind::Plain, &sent, &arrived, &[]);
    assert!(!format!("{verdict:?}").contains("hunter"), "{verdict:?}");
    assert!(matches!(how(verdict), How::Cut { bytes: 6, .. }));
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::Traceparent,
        Kind::Tracestate,
        Kind::Baggage,
        Kind::B3,
        Kind::Plain,
    ])
}

fn some_values() -> impl Strategy<Value = Vec<String>> {
    let value = prop_oneof![
        "[a-c=;,% 0-9]{0,24}",
        "00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]",
        "\\PC{0,9}"
    ];
    prop::collection::vec(value, 0..4)
}

proptest! {
    #[test]
    fn equal_lines_are_intact_and_others_are_not(kind in kinds(), sent in some_values(), arrived in some_values()) {
        let (sent, arrived) = (
            sent.iter().map(String::as_str).collect::<Vec<_>>(),
            arrived.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        prop_assert_eq!(verdict(kind, "x", &sent, &sent), Verdict::Intact);
        let verdict = verdict(kind, "x", &sent, &arrived);
        let nothing = sent.is_empty();
        prop_assert_eq!(verdict == Verdict::Intact, sent == arrived || nothing);
    }

    #[test]
    fn a_change_is_shown_on_one_short_line(sent in "\\PC{0,300}", arrived in "\\PC{0,300}") {
        if let Verdict::Changed(change) = verdict(Kind::Plain, "x", &[&sent], &[&arrived]) {
            prop_assert!(change.sent.chars().count() <= 58, "{}", change.sent);
            prop_assert!(change.arrived.chars().count() <= 58);
            prop_assert!(change.at <= sent.chars().count());
        }
    }

    #[test]
    fn what_is_left_out_anywhere_is_never_intact(at in 0_usize..8192) {
        let checks = super::check::every(Vec::new());
        let check = checks.iter().find(|check| check.id == "baggage-8k").unwrap();
        let sent: Vec<Line> = check.lines(&super::check::Fresh::new()).into_iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let mut arrived = sent.clone();
        arrived[0].1.remove(at);
        prop_assert!(!super::allow::survives(check, &compare(check.kind, &sent, &arrived, &[]), &[]));
    }
}
