//! What parameters and answers look like, said once: the documents and the OpenRPC schemas are made from it, and
//! tests hold every answer against it.

use serde_json::{Map, Value, json};

/// The form of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// True or false.
    Flag,
    /// A whole number, not negative.
    Number,
    /// Milliseconds since 1970.
    Time,
    /// Any text.
    Text,
    /// A decimal number of TIME, as a string: JSON numbers lose grains.
    Amount,
    /// Bytes in hexadecimal.
    Hex,
    /// 32 bytes in hexadecimal.
    Id,
    /// An address of the node's network.
    Address,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list.
    List(&'static Shape),
    /// An object with these members and no others.
    Object(&'static [Field]),
    /// One of these.
    Either(&'static [Shape]),
    /// This or null.
    Nullable(&'static Shape),
    /// A JSON form described elsewhere.
    Free(&'static str),
}

/// A member of an object, or a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its form.
    pub shape: Shape,
    /// Whether it is always there.
    pub required: bool,
    /// What it is, where the name does not say it.
    pub about: &'static str,
}

/// A member that is always there.
pub(super) const fn field(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { name, shape, required: true, about }
}

/// A member that may be absent.
pub(super) const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { name, shape, required: false, about }
}

impl Shape {
    /// In words, for a table.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Flag => "boolean".into(),
            Self::Number => "number".into(),
            Self::Time => "milliseconds".into(),
            Self::Text => "string".into(),
            Self::Amount => "amount".into(),
            Self::Hex => "hex".into(),
            Self::Id => "id".into(),
            Self::Address => "address".into(),
            Self::Word(words) => {
                words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
            }
            Self::List(of) => format!("list of {}", of.words()),
            Self::Object(_) => "object".into(),
            Self::Either(shapes) => shapes.iter().map(Self::words).collect::<Vec<_>>().join(" or "),
            Self::Nullable(of) => format!("{} or null", of.words()),
            Self::Free(what) => (*what).into(),
        }
    }

    /// The members of the object, or of the objects in the list.
    #[must_use]
    pub fn fields(&self) -> &'static [Field] {
        match self {
            Self::Object(fields) => fields,
            Self::List(of) | Self::Nullable(of) => of.fields(),
            Self::Either(shapes) => {
                shapes.iter().map(Self::fields).find(|fields| !fields.is_empty()).unwrap_or_default()
            }
            Self::Flag
            | Self::Number
            | Self::Time
            | Self::Text
            | Self::Amount
            | Self::Hex
            | Self::Id
            | Self::Address
            | Self::Word(_)
            | Self::Free(_) => &[],
        }
    }

    /// As JSON Schema.
    #[must_use]
    pub fn schema(&self) -> Value {
        match self {
            Self::Flag => json!({ "type": "boolean" }),
            Self::Number => json!({ "type": "integer", "minimum": 0 }),
            Self::Time => {
                json!({ "type": "integer", "minimum": 0, "description": "milliseconds since 1970" })
            }
            Self::Text => json!({ "type": "string" }),
            Self::Amount => json!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,8})?$" }),
            Self::Hex => json!({ "type": "string", "pattern": "^([0-9a-f]{2})*$" }),
            Self::Id => json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }),
            Self::Address => json!({ "type": "string", "pattern": "^(time|ttime|dtime)1[0-9a-z]+$" }),
            Self::Word(words) => json!({ "type": "string", "enum": words }),
            Self::List(of) => json!({ "type": "array", "items": of.schema() }),
            Self::Object(fields) => {
                let members = fields.iter().map(|field| (field.name.to_owned(), field.schema()));
                let required =
                    fields.iter().filter(|field| field.required).map(|field| field.name).collect::<Vec<_>>();
                json!({
                    "type": "object",
                    "properties": members.collect::<Map<_, _>>(),
                    "required": required,
                    "additionalProperties": false,
                })
            }
            Self::Either(shapes) => {
                json!({ "oneOf": shapes.iter().map(Self::schema).collect::<Vec<_>>() })
            }
            Self::Nullable(of) => json!({ "oneOf": [of.schema(), { "type": "null" }] }),
            Self::Free(what) => json!({ "description": what }),
        }
    }

    /// Whether a value has this form; where it does not, the place and what was expected.
    ///
    /// # Errors
    /// If it does not.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let fits = match self {
            Self::Flag => value.is_boolean(),
            Self::Number | Self::Time => value.is_u64(),
            Self::Text => value.is_string(),
            Self::Amount => value.as_str().is_some_and(is_amount),
            Self::Hex => value.as_str().is_some_and(is_hex),
            Self::Id => value.as_str().is_some_and(|text| text.len() == 64 && is_hex(text)),
            Self::Address => value.as_str().is_some_and(|text| text.contains("time1")),
            Self::Word(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Self::List(of) => {
                let Value::Array(list) = value else { return Err(self.objection(value)) };
                return (0..).zip(list).try_for_each(|(at, value): (usize, _)| {
                    of.check(value).map_err(|objection| format!("[{at}]{objection}"))
                });
            }
            Self::Object(fields) => return self.check_object(fields, value),
            Self::Either(shapes) => {
                // Of several objections, one of an object says most.
                let objections: Vec<_> = shapes.iter().map_while(|shape| shape.check(value).err()).collect();
                if objections.len() < shapes.len() {
                    return Ok(());
                }
                let longest = objections.into_iter().max_by_key(String::len);
                return Err(longest.unwrap_or_else(|| self.objection(value)));
            }
            Self::Nullable(of) => return if value.is_null() { Ok(()) } else { of.check(value) },
            Self::Free(_) => true,
        };
        if fits { Ok(()) } else { Err(self.objection(value)) }
    }

    fn check_object(&self, fields: &[Field], value: &Value) -> Result<(), String> {
        let Value::Object(object) = value else { return Err(self.objection(value)) };
        if let Some(extra) = object.keys().find(|key| fields.iter().all(|field| field.name != **key)) {
            return Err(format!(".{extra}: not in the table"));
        }
        fields.iter().try_for_each(|field| match object.get(field.name) {
            None if field.required => Err(format!(".{}: missing", field.name)),
            None => Ok(()),
            Some(value) => {
                field.shape.check(value).map_err(|objection| format!(".{}{objection}", field.name))
            }
        })
    }

    fn objection(&self, value: &Value) -> String {
        format!(": expected {}, found {value}", self.words())
    }
}

impl Field {
    /// As JSON Schema, with its description.
    #[must_use]
    pub fn schema(&self) -> Value {
        let mut schema = self.shape.schema();
        if !self.about.is_empty() {
            schema["description"] = self.about.into();
        }
        schema
    }
}

fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_amount(text: &str) -> bool {
    text.parse::<timecoin_core::amount::Amount>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_held_against_shapes() {
        const INNER: Shape =
            Shape::Object(&[field("a", Shape::Number, ""), optional("b", Shape::Amount, "")]);
        let cases = [
            ("number", Shape::Number, json!(1), true),
            ("negative", Shape::Number, json!(-1), false),
            ("fraction", Shape::Number, json!(1.5), false),
            ("amount", Shape::Amount, json!("1.5"), true),
            ("amount as number", Shape::Amount, json!(1.5), false),
            ("id", Shape::Id, json!("ab".repeat(32)), true),
            ("short id", Shape::Id, json!("ab"), false),
            ("capitals", Shape::Hex, json!("AB"), false),
            ("object", INNER, json!({ "a": 1 }), true),
            ("optional", INNER, json!({ "a": 1, "b": "2" }), true),
            ("missing", INNER, json!({ "b": "2" }), false),
            ("extra", INNER, json!({ "a": 1, "c": 0 }), false),
            ("list", Shape::List(&INNER), json!([{ "a": 1 }, { "a": 2 }]), true),
            ("bad item", Shape::List(&INNER), json!([{ "a": 1 }, 2]), false),
            ("null", Shape::Nullable(&INNER), json!(null), true),
            ("either", Shape::Either(&[Shape::Number, Shape::Text]), json!("x"), true),
            ("neither", Shape::Either(&[Shape::Number, Shape::Text]), json!([]), false),
            ("word", Shape::Word(&["a", "b"]), json!("c"), false),
        ];
        for (name, shape, value, fits) in cases {
            assert_eq!(shape.check(&value).is_ok(), fits, "{name}: {:?}", shape.check(&value));
        }
    }
}
