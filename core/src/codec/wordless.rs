//! Decoding without words: whatever is wrong, the error is only that something is.
//!
//! bincode's error keeps what serde says of a value that does not fit, in words. Nobody reads them here, and what makes them
//! (numbers with a fraction among it) is a twentieth of the receipt verifier. So everything between bincode and a type
//! passes through [`Wordless`], whose error drops the words unmade.

use core::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// A value decoded so.
pub(super) struct Decoded<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Decoded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(Wordless(deserializer)).map(Self).map_err(any)
    }
}

/// Something is wrong.
#[derive(Debug)]
struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed")
    }
}

impl core::error::Error for Malformed {}

impl Error for Malformed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// A serde trait's implementor, with [`Malformed`] as its error towards the type decoded.
struct Wordless<T>(T);

fn drop_words<E>(_: E) -> Malformed {
    Malformed
}

fn any<E: Error>(_: Malformed) -> E {
    E::custom("")
}

macro_rules! deserialize {
    ($($method:ident($($given:ident: $kind:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($given: $kind,)* visitor: V) -> Result<V::Value, Malformed> {
            self.0.$method($($given,)* Wordless(visitor)).map_err(drop_words)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Wordless<D> {
    type Error = Malformed;

    deserialize! {
        deserialize_any()
        deserialize_f32()
        deserialize_f64()
        deserialize_bool()
        deserialize_u8()
        deserialize_u16()
        deserialize_u32()
        deserialize_u64()
        deserialize_string()
        deserialize_option()
        deserialize_seq()
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    // Own types have none of these, and bincode refuses what describes itself.
    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 char str bytes byte_buf unit unit_struct tuple_struct map identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! visit {
    ($($method:ident($kind:ty))*) => {
        $(fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.0.$method::<Malformed>(value).map_err(any)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Wordless<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    visit! { visit_bool(bool) visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_str(&str) visit_string(String) }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none::<Malformed>().map_err(any)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Wordless(deserializer)).map_err(any)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Wordless(deserializer)).map_err(any)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Wordless(seq)).map_err(any)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Wordless(data)).map_err(any)
    }
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Wordless<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        self.0.deserialize(Wordless(deserializer)).map_err(any)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Wordless<A> {
    type Error = Malformed;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Malformed> {
        self.0.next_element_seed(Wordless(seed)).map_err(drop_words)
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Wordless<A> {
    type Error = Malformed;
    type Variant = Wordless<A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), Malformed> {
        let (value, variant) = self.0.variant_seed(Wordless(seed)).map_err(drop_words)?;
        Ok((value, Wordless(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Wordless<A> {
    type Error = Malformed;

    fn unit_variant(self) -> Result<(), Malformed> {
        self.0.unit_variant().map_err(drop_words)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Malformed> {
        self.0.newtype_variant_seed(Wordless(seed)).map_err(drop_words)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Malformed> {
        self.0.tuple_variant(len, Wordless(visitor)).map_err(drop_words)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Malformed> {
        self.0.struct_variant(fields, Wordless(visitor)).map_err(drop_words)
    }
}
