//! Reading JSON into own types: strict, and small enough for the receipt verifier.
//!
//! Takes what own types are made of: objects, lists, strings, booleans, `null` and whole numbers from 0 to 2^64 − 1.
//! Stricter than serde_json, where one of two readings would be ignored silently: unknown keys are refused for every
//! type, and no list passes for an object. Whatever is read here, serde_json reads as the same value.
//!
//! Invariants: no input can panic it; own types are not recursive, so neither is the reader beyond them; what it
//! allocates is bounded by the text. Errors carry the place, not the offending value. It does not write JSON.

use core::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

/// Why a text is not the JSON of the type wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at line {line}, column {column}")]
pub struct JsonError {
    /// What is wrong.
    pub fault: Fault,
    /// Line of the fault, from 1.
    pub line: usize,
    /// Column of the last byte read, from 1.
    pub column: usize,
}

/// What is wrong with a JSON text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not JSON, or cut off.
    #[error("malformed JSON")]
    Syntax,
    /// JSON that cannot stand here: another type, or a value out of range.
    #[error("unexpected value")]
    Unexpected,
    /// A list of another length.
    #[error("unexpected length")]
    Length,
    /// A key the type does not have.
    #[error("unknown key `{0}`")]
    UnknownKey(String),
    /// A key that must be there.
    #[error("missing key `{0}`")]
    MissingKey(&'static str),
    /// A key that is there twice.
    #[error("repeated key `{0}`")]
    RepeatedKey(&'static str),
    /// What the type itself says.
    #[error("{0}")]
    Invalid(String),
}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Invalid(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::Unexpected
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::Unexpected
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self::Length
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::Unexpected
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::UnknownKey(field.to_owned())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::MissingKey(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::RepeatedKey(field)
    }
}

/// Reads exactly one value from all of `text`.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, JsonError> {
    let mut reader = Reader { text, at: 0, key: String::new() };
    let value = T::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|fault| reader.place(fault))
}

/// The number that an object has under the key `version`, whatever else it has: so that a file of newer software is told
/// apart from a damaged one.
#[must_use]
pub fn version(text: &str) -> Option<u64> {
    let mut reader = Reader { text, at: 0, key: String::new() };
    reader.expect(b'{').ok()?;
    loop {
        let key = reader.string().ok()?;
        reader.expect(b':').ok()?;
        if key == "version" {
            return reader.number().ok();
        }
        reader.skip().ok()?;
        reader.expect(b',').ok()?;
    }
}

/// A text read up to `at`, which does not move on after a fault.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The last key read.
    key: String,
}

impl<'a> Reader<'a> {
    /// The next byte.
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn peek_token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    /// Takes this byte, white space before it left out, if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek_token() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(self.misfit()) }
    }

    /// What is wrong if something else was wanted here.
    fn misfit(&mut self) -> Fault {
        match self.peek_token() {
            Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => Fault::Unexpected,
            _ => Fault::Syntax,
        }
    }

    /// Takes this word, if it is next.
    fn take_word(&mut self, word: &str) -> bool {
        self.peek_token();
        let found = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes()));
        if found {
            self.at += word.len();
        }
        found
    }

    /// A whole number of 64 bits, without a sign or leading zeros.
    fn number(&mut self) -> Result<u64, Fault> {
        if !matches!(self.peek_token(), Some(b'0'..=b'9')) {
            return Err(self.misfit());
        }
        let start = self.at;
        let mut number = 0u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            self.at += 1;
            let larger = number.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit - b'0')));
            number = larger.ok_or(Fault::Unexpected)?;
        }
        let leading_zero = self.at - start > 1 && self.text.as_bytes().get(start) == Some(&b'0');
        match self.peek() {
            _ if leading_zero => Err(Fault::Syntax),
            Some(b'.' | b'e' | b'E') => Err(Fault::Unexpected),
            _ => Ok(number),
        }
    }

    /// A string, its escapes resolved.
    fn string(&mut self) -> Result<String, Fault> {
        self.expect(b'"')?;
        let mut string = String::new();
        let mut start = self.at;
        loop {
            let end = self.at;
            let byte = self.peek().ok_or(Fault::Syntax)?;
            self.at += 1;
            if !matches!(byte, b'"' | b'\\' | 0..0x20) {
                continue;
            }
            // Both ends are ASCII bytes, so they are boundaries of characters.
            string.push_str(self.text.get(start..end).ok_or(Fault::Syntax)?);
            match byte {
                b'"' => return Ok(string),
                b'\\' => string.push(self.escaped()?),
                _ => return Err(Fault::Syntax),
            }
            start = self.at;
        }
    }

    /// The character an escape stands for, after the backslash.
    fn escaped(&mut self) -> Result<char, Fault> {
        let byte = self.peek().ok_or(Fault::Syntax)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.code_unit()?;
                let low = match unit {
                    0xD800..0xDC00 => self.low_surrogate()?,
                    _ => return char::from_u32(unit).ok_or(Fault::Syntax),
                };
                char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)).ok_or(Fault::Syntax)?
            }
            _ => return Err(Fault::Syntax),
        })
    }

    fn low_surrogate(&mut self) -> Result<u32, Fault> {
        for byte in *b"\\u" {
            if self.peek() != Some(byte) {
                return Err(Fault::Syntax);
            }
            self.at += 1;
        }
        Some(self.code_unit()?).filter(|low| (0xDC00..0xE000).contains(low)).ok_or(Fault::Syntax)
    }

    /// Four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u32, Fault> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16)).ok_or(Fault::Syntax)?;
            self.at += 1;
            unit = unit << 4 | digit;
        }
        Ok(unit)
    }

    /// Skips a value, without a look at what is in it.
    fn skip(&mut self) -> Result<(), Fault> {
        let mut depth = 0u32;
        loop {
            match self.peek_token().ok_or(Fault::Syntax)? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    self.at += 1;
                    depth = depth.checked_add(1).ok_or(Fault::Syntax)?;
                }
                b'}' | b']' => {
                    self.at += 1;
                    depth = depth.checked_sub(1).ok_or(Fault::Syntax)?;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                b'-' | b'+' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                    while let Some(b'-' | b'+' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9') = self.peek()
                    {
                        self.at += 1;
                    }
                }
                _ => return Err(Fault::Syntax),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        if self.peek_token().is_none() { Ok(()) } else { Err(Fault::Syntax) }
    }

    fn place(&self, fault: Fault) -> JsonError {
        let read = self.text.as_bytes().get(..self.at).unwrap_or_default();
        let line_start = read.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = 1 + read.iter().filter(|byte| **byte == b'\n').count();
        JsonError { fault, line, column: read.len() - line_start }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'_> {
    type Error = Fault;

    /// Own types say what they are.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::Unexpected)
    }

    /// The value of a key the type does not have.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::UnknownKey(core::mem::take(&mut self.key)))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.take_word("true") {
            visitor.visit_bool(true)
        } else if self.take_word("false") {
            visitor.visit_bool(false)
        } else {
            Err(self.misfit())
        }
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(self.number()?)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(self.number()?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(self.number()?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(self.number()?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_string(self.string()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_string(self.string()?)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.key = self.string()?;
        visitor.visit_str(&self.key)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.take_word("null") { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.expect(b'[')?;
        let mut elements = Elements { reader: &mut *self, next: Next::First };
        let value = visitor.visit_seq(&mut elements)?;
        // Whoever wants a number of elements stops after the last.
        if elements.next == Next::Ended || self.take(b']') { Ok(value) } else { Err(Fault::Length) }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.expect(b'{')?;
        visitor.visit_map(&mut Elements { reader: self, next: Next::First })
    }

    /// `"Name"`, or `{"Name": content}`.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let has_content = self.take(b'{');
        let value = visitor.visit_enum(Variant { reader: &mut *self, has_content })?;
        if has_content {
            self.expect(b'}')?;
        }
        Ok(value)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 char bytes byte_buf unit unit_struct tuple_struct map
    }
}

/// Where a list or object stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    First,
    Further,
    Ended,
}

/// The elements of a list, or the keys and values of an object.
struct Elements<'r, 'a> {
    reader: &'r mut Reader<'a>,
    next: Next,
}

impl Elements<'_, '_> {
    /// Goes before the next element; false where `end` comes instead.
    fn advance(&mut self, end: u8) -> Result<bool, Fault> {
        let next = core::mem::replace(&mut self.next, Next::Further);
        if next == Next::Ended || self.reader.take(end) {
            self.next = Next::Ended;
            return Ok(false);
        }
        if next == Next::First || self.reader.take(b',') { Ok(true) } else { Err(Fault::Syntax) }
    }
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        if self.advance(b']')? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for &mut Elements<'_, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        if self.advance(b'}')? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

/// A variant of an enum: its name alone, or in an object with its content.
struct Variant<'r, 'a> {
    reader: &'r mut Reader<'a>,
    has_content: bool,
}

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name = seed.deserialize(&mut *self.reader)?;
        if self.has_content {
            self.reader.expect(b':')?;
        }
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        if self.has_content { Err(Fault::Unexpected) } else { Ok(()) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        if self.has_content { seed.deserialize(self.reader) } else { Err(Fault::Unexpected) }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        if self.has_content { self.reader.deserialize_seq(visitor) } else { Err(Fault::Unexpected) }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if self.has_content {
            self.reader.deserialize_struct("", fields, visitor)
        } else {
            Err(Fault::Unexpected)
        }
    }
}

#[cfg(test)]
mod tests;
