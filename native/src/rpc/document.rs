//! `docs/RPC.md` and the OpenRPC document, made from the table.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::error::Kind;
use super::shape::{Field, Shape};
use super::table::{GROUPS, Method, TOPICS, methods};

/// Errors that any call can have.
const COMMON: &[Kind] = &[
    Kind::Parse,
    Kind::InvalidRequest,
    Kind::UnknownMethod,
    Kind::Params,
    Kind::Internal,
    Kind::Unauthorized,
    Kind::Stopped,
];

const INTRODUCTION: &str = include_str!("introduction.md");

/// The text of `docs/RPC.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    // Writing to a string cannot fail.
    let _ = write_methods(&mut text)
        .and_then(|()| write_topics(&mut text))
        .and_then(|()| write_errors(&mut text));
    text
}

fn write_methods(text: &mut String) -> std::fmt::Result {
    for group in GROUPS {
        writeln!(text, "\n## {}", group.title)?;
        for method in group.methods {
            write_method(text, method)?;
        }
    }
    Ok(())
}

fn write_method(text: &mut String, method: &Method) -> std::fmt::Result {
    writeln!(text, "\n### `{}`\n\n{}", method.name, method.summary)?;
    if method.needs_token {
        writeln!(text, "\nNeeds the token.")?;
    }
    if !method.params.is_empty() {
        writeln!(text, "\n| parameter | form | |\n|---|---|---|")?;
        for param in method.params {
            let about =
                if param.required { param.about.to_owned() } else { format!("optional: {}", param.about) };
            writeln!(
                text,
                "| `{}` | {} | {} |",
                param.name,
                param.shape.words(),
                about.trim_end_matches(": ")
            )?;
            write_fields(text, param.shape.fields(), &format!("{}.", param.name))?;
        }
    }
    write!(text, "\nAnswers {}", article(&method.result))?;
    if method.result.fields().is_empty() {
        writeln!(text, ".")?;
    } else {
        writeln!(text, ":\n\n| member | form | |\n|---|---|---|")?;
        write_fields(text, method.result.fields(), "")?;
    }
    if !method.errors.is_empty() {
        let words: Vec<_> = method.errors.iter().map(|kind| format!("`{}`", kind.word())).collect();
        writeln!(text, "\nErrors: {}.", words.join(", "))?;
    }
    Ok(())
}

/// Members, and those of objects within, with their path.
fn write_fields(text: &mut String, fields: &[Field], path: &str) -> std::fmt::Result {
    for field in fields {
        let about =
            if field.required { field.about.to_owned() } else { format!("may be absent: {}", field.about) };
        let about = about.trim_end_matches(": ");
        writeln!(text, "| `{path}{}` | {} | {about} |", field.name, field.shape.words())?;
        // What stands in many answers is explained once.
        if !matches!(field.name, "at" | "certificate") {
            write_fields(text, field.shape.fields(), &format!("{path}{}.", field.name))?;
        }
    }
    Ok(())
}

fn article(shape: &Shape) -> String {
    let words = shape.words();
    match words.chars().next() {
        Some('`') => words,
        Some('a' | 'e' | 'i' | 'o' | 'O') => format!("an {words}"),
        _ => format!("a {words}"),
    }
}

fn write_topics(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\n## Subscriptions\n\nOver WebSocket, `subscribe` answers a number; what follows arrives as notifications:\n"
    )?;
    writeln!(
        text,
        "```json\n{{\"jsonrpc\": \"2.0\", \"method\": \"subscription\", \"params\": {{\"subscription\": 1, \"result\": …}}}}\n```"
    )?;
    for (topic, about, shape) in TOPICS {
        writeln!(
            text,
            "\n### Topic `{topic}`\n\n{about}. The result:\n\n| member | form | |\n|---|---|---|"
        )?;
        write_fields(text, shape.fields(), "")?;
    }
    Ok(())
}

fn write_errors(text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n## Errors\n\n| code | word | meaning | what to do |\n|---|---|---|---|")?;
    for kind in Kind::ALL {
        writeln!(text, "| {} | `{}` | {} | {} |", kind.code(), kind.word(), kind.meaning(), kind.advice())?;
    }
    let common: Vec<_> = COMMON.iter().map(|kind| format!("`{}`", kind.word())).collect();
    writeln!(text, "\nAny call can fail with {}.", common.join(", "))
}

/// The OpenRPC document.
pub(super) fn openrpc() -> Value {
    let parameter = |field: &Field| {
        json!({
            "name": field.name,
            "description": field.about,
            "required": field.required,
            "schema": field.shape.schema(),
        })
    };
    let reference = |kind: &Kind| json!({ "$ref": format!("#/components/errors/{}", kind.word()) });
    let methods = methods().map(|method| {
        json!({
            "name": method.name,
            "summary": method.summary,
            "paramStructure": "either",
            "params": method.params.iter().map(parameter).collect::<Vec<_>>(),
            "result": { "name": "result", "schema": method.result.schema() },
            "errors": COMMON.iter().chain(method.errors).map(reference).collect::<Vec<_>>(),
            "x-needs-token": method.needs_token,
        })
    });
    let errors = Kind::ALL.iter().map(|kind| {
        let data = json!({ "code": kind.word(), "advice": kind.advice() });
        (kind.word().to_owned(), json!({ "code": kind.code(), "message": kind.meaning(), "data": data }))
    });
    let topics = TOPICS.iter().map(|(topic, about, shape)| {
        ((*topic).to_owned(), json!({ "description": about, "schema": shape.schema() }))
    });
    json!({
        "openrpc": "1.3.2",
        "info": { "title": "TimeCoin node", "version": env!("CARGO_PKG_VERSION") },
        "methods": methods.collect::<Vec<_>>(),
        "components": { "errors": errors.collect::<Map<_, _>>() },
        "x-subscriptions": topics.collect::<Map<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_that_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/RPC.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == markdown(),
            "docs/RPC.md is stale: write it anew with `timecoin rpc --document > docs/RPC.md`"
        );
    }

    #[test]
    fn openrpc_names_every_method_and_every_error_it_refers_to() {
        let document = openrpc();
        let listed = document["methods"].as_array().unwrap();
        assert_eq!(listed.len(), methods().count());
        for method in listed {
            for error in method["errors"].as_array().unwrap() {
                let word = error["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
                assert!(document["components"]["errors"][word].is_object(), "{word}");
            }
        }
    }
}
