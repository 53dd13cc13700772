//! What is read, what is refused with which fault, and that serde_json reads nothing else into it.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::amount::Amount;
use crate::hash::Hash;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    One(u8),
    Pair(u16, bool),
    Named { at: Option<u32> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    text: String,
    hash: Hash,
    amount: Amount,
    numbers: Vec<u64>,
    kinds: Vec<Kind>,
    #[serde(default)]
    more: Vec<(bool, u8)>,
}

fn sample() -> Sample {
    Sample {
        text: "a \"quoted\" \\ line\n\u{1}\u{20ac}\u{1f600}".to_owned(),
        hash: Hash([7; 32]),
        amount: Amount(123_456_789),
        numbers: vec![0, 1, u64::MAX],
        kinds: vec![
            Kind::Plain,
            Kind::One(255),
            Kind::Pair(65535, true),
            Kind::Named { at: None },
            Kind::Named { at: Some(7) },
        ],
        more: vec![(true, 1), (false, 2)],
    }
}

#[test]
fn what_serde_json_writes_is_read() {
    for text in [serde_json::to_string(&sample()).unwrap(), serde_json::to_string_pretty(&sample()).unwrap()]
    {
        assert_eq!(read::<Sample>(&text), Ok(sample()));
        assert_eq!(read::<Sample>(&format!(" \t\r\n{text}\n ")), Ok(sample()));
        for (end, _) in text.char_indices() {
            assert!(read::<Sample>(&text[..end]).is_err(), "{end}");
        }
    }
}

#[test]
fn every_fault_has_its_name() {
    let unexpected = || Fault::Unexpected;
    let syntax = || Fault::Syntax;
    let numbers = [
        ("18446744073709551615", None),
        ("18446744073709551616", Some(unexpected())),
        ("99999999999999999999999", Some(unexpected())),
        ("-1", Some(unexpected())),
        ("1.0", Some(unexpected())),
        ("1e2", Some(unexpected())),
        ("01", Some(syntax())),
        ("00", Some(syntax())),
        ("+1", Some(syntax())),
        ("\"1\"", Some(unexpected())),
        ("null", Some(unexpected())),
        ("1 1", Some(syntax())),
        ("", Some(syntax())),
    ];
    for (text, fault) in numbers {
        assert_eq!(read::<u64>(text).err().map(|error| error.fault), fault, "{text}");
    }
    let strings = [
        (r#""\ud83d\ude00""#, Ok("\u{1f600}")),
        (r#""\u0041\/\b\f\n\r\t""#, Ok("A/\u{8}\u{c}\n\r\t")),
        (r#""\ud83d""#, Err(())),
        (r#""\ud83dx""#, Err(())),
        (r#""\ud83d\u0041""#, Err(())),
        (r#""\ude00""#, Err(())),
        (r#""\u12""#, Err(())),
        (r#""\x""#, Err(())),
        ("\"\n\"", Err(())),
        ("\"", Err(())),
        ("\"\\", Err(())),
    ];
    for (text, expected) in strings {
        let found = read::<String>(text).map_err(|error| assert_eq!(error.fault, Fault::Syntax, "{text}"));
        assert_eq!(found.as_deref(), expected.as_ref().copied().map_err(|()| &()), "{text}");
    }
    let lists = [
        ("[1,2,]", syntax()),
        ("[,1]", syntax()),
        ("[1 2]", syntax()),
        ("[1", syntax()),
        ("{}", unexpected()),
    ];
    for (text, fault) in lists {
        assert_eq!(read::<Vec<u8>>(text).map_err(|error| error.fault), Err(fault), "{text}");
    }
    assert_eq!(read::<(u8, u8)>("[1,2,3]").map_err(|error| error.fault), Err(Fault::Length));
    assert_eq!(read::<(u8, u8)>("[1]").map_err(|error| error.fault), Err(Fault::Length));
    assert_eq!(read::<Vec<u8>>("[256]").map_err(|error| error.fault), Err(unexpected()));
}

#[test]
fn keys_are_exact_and_places_named() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Loose {
        one: u8,
    }
    let error = |fault, line, column| Err(JsonError { fault, line, column });
    let table = [
        ("known", "{\"one\":1}", Ok(Loose { one: 1 })),
        ("missing", "{}", error(Fault::MissingKey("one"), 1, 2)),
        ("repeated", "{\"one\":1,\n \"one\":1}", error(Fault::RepeatedKey("one"), 2, 6)),
        ("unknown", "{\"one\":1,\"two\":2}", error(Fault::UnknownKey("two".to_owned()), 1, 15)),
        ("a list", "[1]", error(Fault::Unexpected, 1, 0)),
        ("deep", &"[".repeat(100_000), error(Fault::Unexpected, 1, 0)),
    ];
    for (name, text, expected) in table {
        assert_eq!(read::<Loose>(text), expected, "{name}");
    }
    for text in [
        "{\"Plain\":null}",
        "\"One\"",
        "\"Other\"",
        "{\"Named\":[1]}",
        "{\"Plain\"}",
        "{\"One\":1,\"One\":1}",
    ] {
        assert!(read::<Kind>(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_is_read_serde_json_reads_as_the_same(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..4),
    ) {
        const TOKENS: &[u8] = b"{}[],:\"\\0123456789tfnu. -eE";
        let mut bytes = serde_json::to_vec(&sample()).unwrap();
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len());
            let byte = if byte < 128 { TOKENS[usize::from(byte) % TOKENS.len()] } else { byte };
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        if let Some(value) = core::str::from_utf8(&bytes).ok().and_then(|text| read::<Sample>(text).ok()) {
            prop_assert_eq!(serde_json::from_slice::<Sample>(&bytes).unwrap(), value);
        }
    }
}

#[test]
fn the_version_of_a_file_is_found_among_whatever_else_it_has() {
    let deep = format!("{{\"a\":{}{},\"version\":7}}", "[".repeat(100_000), "]".repeat(100_000));
    let table = [
        ("alone", r#"{"version":2}"#, Some(2)),
        ("first", r#"{"version":2,"#, Some(2)),
        ("later", r#"{"a":{"version":3},"b":[1,-2.5e3,"}",true,null],"version":4}"#, Some(4)),
        ("deep", &deep, Some(7)),
        ("nested only", r#"{"a":{"version":3}}"#, None),
        ("no number", r#"{"version":"2"}"#, None),
        ("negative", r#"{"version":-2}"#, None),
        ("no object", "2", None),
        ("cut off", r#"{"a":[1,2"#, None),
        ("closed too often", r#"{"a":1}},"version":2}"#, None),
        ("empty", "", None),
    ];
    for (name, text, expected) in table {
        assert_eq!(version(text), expected, "{name}");
    }
}
