//! Signatures, keys, addresses, recovery words.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ToolError, hex, invalid, read};
use crate::address::{Address, AddressError, Network};
use crate::hash::{Owner, to_hex};
use crate::keys::{self, PublicKey, Signature, SignedBytes};
use crate::lock::Lock;
use crate::wallet::derive::{ExtendedKey, Path};
use crate::wallet::mnemonic::Mnemonic;

/// One signature to check, in hexadecimal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureFields {
    public_key: String,
    message: String,
    signature: String,
}

impl SignatureFields {
    /// `None` where key or signature have a length that no key or signature has.
    fn read(&self) -> Result<Option<SignedBytes>, ToolError> {
        let key = hex("public_key", &self.public_key)?;
        let message = hex("message", &self.message)?;
        let signature = hex("signature", &self.signature)?;
        let parts = (key.try_into(), signature.try_into());
        let (Ok(key), Ok(signature)) = parts else { return Ok(None) };
        Ok(Some(SignedBytes { key: PublicKey(key), message, signature: Signature(signature) }))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Signatures {
    One(SignatureFields),
    Batch(Batch),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    batch: Vec<SignatureFields>,
}

/// One signature: `valid`. A batch: `valid` as one batch, and `results` one by one.
pub(super) fn verify_signature(line: &str) -> Result<Value, ToolError> {
    let single = |item: &SignedBytes| keys::verify(&item.key, &item.message, &item.signature);
    match read::<Signatures>(line)? {
        Signatures::One(fields) => Ok(json!({ "valid": fields.read()?.as_ref().is_some_and(single) })),
        Signatures::Batch(Batch { batch }) => {
            let items = batch.iter().map(SignatureFields::read).collect::<Result<Vec<_>, _>>()?;
            let results: Vec<_> = items.iter().map(|item| item.as_ref().is_some_and(single)).collect();
            let whole: Option<Vec<_>> = items.into_iter().collect();
            let valid = whole.is_some_and(|items| keys::verify_batch(&items));
            Ok(json!({ "valid": valid, "results": results }))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFields {
    public_key: String,
}

/// Whether a key may enter the state.
pub(super) fn verify_key(line: &str) -> Result<Value, ToolError> {
    let KeyFields { public_key } = read(line)?;
    let Ok(key) = hex("public_key", &public_key)?.try_into() else {
        return Ok(invalid(&keys::KeyError::NotCanonical));
    };
    Ok(match PublicKey(key).check() {
        Ok(()) => json!({ "valid": true }),
        Err(error) => invalid(&error),
    })
}

/// A network by its lower-case name.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NetworkName {
    Main,
    Test,
    Dev,
}

impl From<NetworkName> for Network {
    fn from(name: NetworkName) -> Self {
        match name {
            NetworkName::Main => Self::Main,
            NetworkName::Test => Self::Test,
            NetworkName::Dev => Self::Dev,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressFields {
    address: Option<String>,
    owner: Option<Owner>,
    public_key: Option<PublicKey>,
    lock: Option<Lock>,
    network: Option<NetworkName>,
}

/// From an address, an owner, a key or a lock to address and owner. Without a network: main.
pub(super) fn address(line: &str) -> Result<Value, ToolError> {
    let fields: AddressFields = read(line)?;
    let network = fields.network.map(Network::from);
    let address = match (fields.address, fields.owner, fields.public_key, fields.lock) {
        (Some(text), None, None, None) => {
            let address: Address = text.parse()?;
            match network.filter(|expected| *expected != address.network) {
                Some(expected) => {
                    return Err(AddressError::WrongNetwork { expected, found: address.network }.into());
                }
                None => address,
            }
        }
        (None, owner, key, lock) => {
            let owner = match (owner, key, lock) {
                (Some(owner), None, None) => owner,
                (None, Some(key), None) => checked_owner(&Lock::Key(key))?,
                (None, None, Some(lock)) => checked_owner(&lock)?,
                _ => return Err(one_of_four()),
            };
            Address { network: network.unwrap_or(Network::Main), owner }
        }
        _ => return Err(one_of_four()),
    };
    Ok(json!({
        "address": address.to_string(),
        "owner": address.owner,
        "network": address.network.to_string(),
    }))
}

fn checked_owner(lock: &Lock) -> Result<Owner, ToolError> {
    lock.check()?;
    Ok(lock.owner())
}

fn one_of_four() -> ToolError {
    ToolError::new("unexpected-json", "exactly one of `address`, `owner`, `public_key` and `lock` is needed")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MnemonicFields {
    words: Option<String>,
    entropy: Option<String>,
    #[serde(default)]
    passphrase: String,
}

/// Recovery words, or entropy for them, to the seed.
pub(super) fn mnemonic(line: &str) -> Result<Value, ToolError> {
    let fields: MnemonicFields = read(line)?;
    let words: Mnemonic = match (fields.words, fields.entropy) {
        (Some(words), None) => words.parse()?,
        (None, Some(entropy)) => Mnemonic::from_entropy(&hex("entropy", &entropy)?)?,
        _ => {
            let message = "exactly one of `words` and `entropy` is needed";
            return Err(ToolError::new("unexpected-json", message));
        }
    };
    Ok(json!({
        "seed": to_hex(words.seed(&fields.passphrase).as_bytes()),
        "words": words.phrase().as_str(),
        "entropy": to_hex(&words.entropy()),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeriveFields {
    seed: String,
    path: String,
}

/// A seed and a path to keys.
pub(super) fn derive(line: &str) -> Result<Value, ToolError> {
    let DeriveFields { seed, path } = read(line)?;
    let path: Path = path.parse()?;
    let key = ExtendedKey::derive(&hex("seed", &seed)?, &path)?;
    Ok(json!({
        "path": path.to_string(),
        "private_key": to_hex(&*key.secret_key().seed()),
        "chain_code": to_hex(key.chain_code()),
        "public_key": key.public_key(),
        "owner": Lock::Key(key.public_key()).owner(),
    }))
}
