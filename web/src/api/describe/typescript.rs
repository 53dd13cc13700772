//! How types are written in TypeScript.

use timecoin_core::amount::Amount;
use timecoin_core::hash::{BlockId, Hash, MasternodeId, StateRoot, TxId};
use timecoin_core::keys::PublicKey;
use timecoin_core::time::Time;
use timecoin_core::vote::{Height, ViewNumber};

/// A type with a name in TypeScript.
pub(crate) trait Named {
    /// The name, or the expression.
    fn name() -> String;
}

/// A type that is declared in TypeScript.
pub(crate) trait Declared {
    /// The whole declaration, with its documentation.
    fn declaration() -> String;
}

macro_rules! named {
    ($text:literal: $($of:ty)*) => {$(
        impl Named for $of {
            fn name() -> String {
                $text.to_owned()
            }
        }
    )*};
}
named!("string": String &'static str Amount BlockId Hash MasternodeId StateRoot TxId PublicKey);
named!("number": u64 u32 Height ViewNumber Time);
named!("boolean": bool);
named!("null": ());

impl<T: Named> Named for Option<T> {
    fn name() -> String {
        format!("{} | null", T::name())
    }
}

impl<T: Named> Named for Box<T> {
    fn name() -> String {
        T::name()
    }
}

impl<T: Named> Named for Vec<T> {
    fn name() -> String {
        let item = T::name();
        if item.contains(' ') { format!("({item})[]") } else { format!("{item}[]") }
    }
}

/// Documentation as TypeScript has it.
pub(crate) fn documented(lines: &[&str], indent: &str) -> String {
    match lines {
        [] => String::new(),
        [line] => format!("{indent}/**{line} */\n"),
        lines => {
            let body: String = lines.iter().map(|line| format!("{indent} *{line}\n")).collect();
            format!("{indent}/**\n{body}{indent} */\n")
        }
    }
}

/// `SomeName` as serde writes variants: `some_name`.
pub(crate) fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
