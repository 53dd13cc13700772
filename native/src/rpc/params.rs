//! Parameters of a call, by position or by name; every one must be known.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::RpcError;
use super::shape::Field;

/// The parameters of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    values: Vec<(&'static str, Option<Value>)>,
}

impl Params {
    /// Matches what was sent with what a method takes.
    pub(super) fn new(fields: &'static [Field], sent: Option<Value>) -> Result<Self, RpcError> {
        let names: Vec<_> = fields.iter().map(|field| field.name).collect();
        let mut values: Vec<(&'static str, Option<Value>)> = names.iter().map(|name| (*name, None)).collect();
        match sent {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) => {
                if list.len() > names.len() {
                    return Err(RpcError::params(format!(
                        "at most {} parameters: {}",
                        names.len(),
                        names.join(", ")
                    )));
                }
                values.iter_mut().zip(list).for_each(|(slot, value)| slot.1 = Some(value));
            }
            Some(Value::Object(map)) => {
                for (name, value) in map {
                    let slot = values.iter_mut().find(|(known, _)| *known == name);
                    let slot = slot.ok_or_else(|| {
                        let name: String = name.chars().take(32).collect();
                        RpcError::params(format!("no parameter {name:?}; there are: {}", names.join(", ")))
                    })?;
                    slot.1 = Some(value);
                }
            }
            Some(_) => return Err(RpcError::invalid_request("params must be an array or an object")),
        }
        Ok(Self { values })
    }

    /// An optional parameter.
    pub(super) fn optional<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, RpcError> {
        let slot = self.values.iter_mut().find(|(known, _)| *known == name);
        match slot.and_then(|(_, value)| value.take()) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| RpcError::params(format!("parameter {name}: {error}"))),
        }
    }

    /// A parameter that must be there.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, RpcError> {
        self.optional(name)?.ok_or_else(|| RpcError::params(format!("parameter {name} is missing")))
    }
}
