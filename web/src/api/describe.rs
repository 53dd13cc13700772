//! One declaration for both languages: [`api!`](crate::api) declares types, [`methods!`](crate::methods) what can be
//! called, [`topics!`](crate::topics) what can be subscribed to.
//!
//! The TypeScript side is only compiled for tests: it costs the payload nothing.

#[cfg(test)]
mod typescript;

#[cfg(test)]
pub(crate) use typescript::*;

/// Declares types of the interface:
///
/// * `struct` — an answer: Rust writes it;
/// * `params` — parameters: Rust reads them, and an `Option` may be left out;
/// * `words` — one of several words;
/// * `kinds` — one of several objects, told apart by their member `kind`.
#[macro_export]
macro_rules! api {
    () => {};

    ($(#[doc = $doc:literal])* struct $name:ident { $($(#[doc = $field_doc:literal])* $field:ident: $of:ty,)* } $($rest:tt)*) => {
        $(#[doc = $doc])*
        #[allow(missing_docs, unreachable_pub, reason = "names of an interface, wherever it is declared")]
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
        pub struct $name { $($(#[doc = $field_doc])* pub $field: $of,)* }
        $crate::api!(@fields $name, [$($doc)*], $({ [$($field_doc)*] $field: $of, "" })*);
        $crate::api!($($rest)*);
    };

    ($(#[doc = $doc:literal])* params $name:ident { $($(#[doc = $field_doc:literal])* $field:ident: $of:ty,)* } $($rest:tt)*) => {
        $(#[doc = $doc])*
        #[allow(missing_docs, unreachable_pub, reason = "names of an interface, wherever it is declared")]
        #[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[doc = $field_doc])* pub $field: $of,)* }
        $crate::api!(@fields $name, [$($doc)*], $({ [$($field_doc)*] $field: $of, "?" })*);
        $crate::api!($($rest)*);
    };

    (@named $name:ident) => {
        #[cfg(test)]
        impl $crate::api::describe::Named for $name {
            fn name() -> String {
                stringify!($name).to_owned()
            }
        }
    };

    (@fields $name:ident, [$($doc:literal)*], $({ [$($field_doc:literal)*] $field:ident: $of:ty, $mark:literal })*) => {
        $crate::api!(@named $name);
        #[cfg(test)]
        impl $crate::api::describe::Declared for $name {
            fn declaration() -> String {
                use $crate::api::describe::documented;
                let mut text = documented(&[$($doc),*], "");
                text += &format!("export interface {} {{\n", stringify!($name));
                $(
                    text += &documented(&[$($field_doc),*], "  ");
                    let of = <$of as $crate::api::describe::Named>::name();
                    let mark = if of.ends_with(" | null") { $mark } else { "" };
                    let field = stringify!($field).trim_start_matches("r#");
                    text += &format!("  {field}{mark}: {of};\n");
                )*
                text + "}\n"
            }
        }
    };

    ($(#[doc = $doc:literal])* words $name:ident { $($(#[doc = $word_doc:literal])* $word:ident,)* } $($rest:tt)*) => {
        $(#[doc = $doc])*
        #[allow(missing_docs, unreachable_pub, reason = "names of an interface, wherever it is declared")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[doc = $word_doc])* $word,)* }
        $crate::api!(@named $name);
        #[cfg(test)]
        impl $crate::api::describe::Declared for $name {
            fn declaration() -> String {
                use $crate::api::describe::{documented, snake};
                let words = [$(format!("'{}'", snake(stringify!($word)))),*];
                let head = documented(&[$($doc),*], "");
                format!("{head}export type {} = {};\n", stringify!($name), words.join(" | "))
            }
        }
        $crate::api!($($rest)*);
    };

    ($(#[doc = $doc:literal])* kinds $name:ident {
        $($(#[doc = $kind_doc:literal])* $kind:ident { $($(#[doc = $field_doc:literal])* $field:ident: $of:ty,)* },)*
    } $($rest:tt)*) => {
        $(#[doc = $doc])*
        #[allow(missing_docs, unreachable_pub, reason = "names of an interface, wherever it is declared")]
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum $name { $($(#[doc = $kind_doc])* $kind { $($(#[doc = $field_doc])* $field: $of,)* },)* }
        $crate::api!(@named $name);
        #[cfg(test)]
        impl $crate::api::describe::Declared for $name {
            fn declaration() -> String {
                use $crate::api::describe::{Named, documented, snake};
                let mut text = documented(&[$($doc),*], "");
                text += &format!("export type {} =", stringify!($name));
                $(
                    text += "\n";
                    text += &documented(&[$($kind_doc),*], "  ");
                    text += &format!("  | {{ kind: '{}'", snake(stringify!($kind)));
                    $(text += &format!("; {}: {}", stringify!($field), <$of as Named>::name());)*
                    text += " }";
                )*
                text + ";\n"
            }
        }
        $crate::api!($($rest)*);
    };
}

/// Declares a group of methods and their dispatch: `name(Parameters) -> Answer = function;`.
///
/// Makes `async fn dispatch(node, method, params) -> Option<Result<String, ApiError>>`, which answers `None` to methods of
/// other groups. `once` before the name: the call is not repeated by itself after a restart of the node, because a
/// second one would not be the same as the first.
#[macro_export]
macro_rules! methods {
    ($($(#[doc = $doc:literal])* $($once:ident)? $name:literal($params:ty) -> $answer:ty = $run:path;)*) => {
        /// Answers a call of this group: JSON in, JSON out; `None` where the method is of another group.
        pub(crate) async fn dispatch(
            node: &std::rc::Rc<$crate::node::Node>,
            method: &str,
            params: &str,
        ) -> Option<Result<String, $crate::api::ApiError>> {
            Some(match method {
                $($name => match $crate::api::types::read::<$params>(params) {
                    Ok(params) => {
                        let answer: Result<$answer, $crate::api::ApiError> = $run(node, params).await;
                        answer.and_then(|answer| $crate::api::types::write(&answer))
                    }
                    Err(error) => Err(error),
                },)*
                _ => return None,
            })
        }

        /// The group's lines of `Methods` in TypeScript, and the methods not to be repeated.
        #[cfg(test)]
        pub(crate) fn described() -> Vec<(String, Option<&'static str>)> {
            use $crate::api::describe::{Named, documented};
            vec![$({
                let once: &[&str] = &[$(stringify!($once))?];
                let line = format!(
                    "{}  '{}': {{ params: {}; answer: {} }};\n",
                    documented(&[$($doc),*], "  "), $name, <$params>::name(), <$answer>::name()
                );
                (line, (!once.is_empty()).then_some($name))
            }),*]
        }
    };
}
