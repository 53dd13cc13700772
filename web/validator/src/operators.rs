//! The operator keys of this origin, each encrypted by a password, in a database of their own.
//!
//! | table | key | row |
//! |---|---|---|
//! | meta | `operator` and the public key | the encrypted seed, and whether the key can have signed |
//!
//! A seed is in the clear in this Worker's memory only, and crosses to the page only where the page asks for it by name. That a
//! key has never signed can be said once, of a key that was made here: the row says so until the key is started, shown, or
//! comes in from elsewhere, and it says so no more before any of that happens.

use serde::{Deserialize, Serialize};
use timecoin_core::address::Address;
use timecoin_core::hash::to_hex;
use timecoin_core::json;
use timecoin_core::keys::{PublicKey, SecretKey};
use timecoin_core::rows::{Batch, ReadSet, Table};
use timecoin_core::spec::ChainSpec;
use timecoin_core::store::{Range, Store};
use timecoin_core::wallet::build::OperatorConsent;
use timecoin_core::wallet::keystore::{KdfCost, Keystore, KeystoreEntropy, KeystoreError};
use timecoin_web::api::error::sentence;
use timecoin_web::api::{ApiError, Code};

const VERSION: u64 = 1;
const PREFIX: &[u8] = b"operator";
/// More keys than anybody has masternodes for.
const KEYS_MAX: usize = 1_000;
/// The most that opening a key may cost: a Worker has less to give than a program.
const COST_MAX: KdfCost = KdfCost { memory_kib: 256 << 10, passes: 10, lanes: 4 };

/// What a page asks.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Call {
    /// Every key.
    List {},
    /// Makes a key.
    Create { password: String },
    /// Keeps a key that was made elsewhere, or under another password.
    Add { key: String, password: String },
    /// The key's agreement to serve an owner, which registering and rotating need.
    Consent { operator: PublicKey, password: String, owner: String, spec: String },
    /// The seed.
    Reveal { operator: PublicKey, password: String },
    /// Removes a key for good.
    Remove { operator: PublicKey, password: String },
}

/// A key as pages see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Listed {
    operator: PublicKey,
    /// Made here, and never started or shown since.
    unused: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    version: u64,
    unused: bool,
    keystore: String,
}

/// All keys.
pub(crate) struct Operators<S> {
    store: S,
    /// What a new keystore costs to open.
    cost: KdfCost,
}

/// Fresh random bytes for one call.
#[derive(Clone, Copy)]
pub(crate) struct Fresh {
    pub(crate) seed: [u8; 32],
    pub(crate) salt: [u8; 32],
    pub(crate) nonce: [u8; 32],
}

impl<S: Store> Operators<S>
where
    ApiError: From<S::Error>,
{
    pub(crate) fn new(store: S, cost: KdfCost) -> Self {
        Self { store, cost }
    }

    /// Answers a call, as JSON.
    pub(crate) async fn answer(&self, call: Call, fresh: Fresh) -> Result<String, ApiError> {
        Ok(match call {
            Call::List {} => write(&self.list().await?),
            Call::Create { password } => {
                write(&self.keep(&SecretKey::from_seed(&fresh.seed), &password, true, fresh).await?)
            }
            Call::Add { key, password } => {
                write(&self.keep(&crate::operator_key(&key)?, &password, false, fresh).await?)
            }
            Call::Consent { operator, password, owner, spec } => {
                let spec = ChainSpec::from_json(&spec)
                    .map_err(|error| ApiError::new(Code::ChainSpec, format!("The chain spec: {error}.")))?;
                let owner = Address::parse_for(spec.consensus.network, owner.trim())
                    .map_err(|error| ApiError::new(Code::BadAddress, sentence(&error)))?;
                let (key, _) = self.open(&operator, &password).await?;
                let consent = OperatorConsent::sign(&spec.consensus.id(), &owner, &key);
                write(&Consent { operator, operator_proof: to_hex(&consent.proof.0) })
            }
            Call::Reveal { operator, password } => {
                let (key, row) = self.open(&operator, &password).await?;
                self.note_used(&operator, row).await?;
                write(&to_hex(&*key.seed()))
            }
            Call::Remove { operator, password } => {
                self.open(&operator, &password).await?;
                let mut batch = Batch::default();
                batch.delete(Table::Meta, row_key(&operator));
                batch.sync();
                self.store.commit(&batch).await?;
                "null".to_owned()
            }
        })
    }

    /// The key to vote with, and whether it has never signed: which is said no more after this.
    pub(crate) async fn start(
        &self,
        operator: &PublicKey,
        password: &str,
    ) -> Result<(SecretKey, bool), ApiError> {
        let (key, row) = self.open(operator, password).await?;
        let unused = row.unused;
        self.note_used(operator, row).await?;
        Ok((key, unused))
    }

    async fn list(&self) -> Result<Vec<Listed>, ApiError> {
        let rows = self.store.scan(Table::Meta, &Range::prefix(PREFIX), KEYS_MAX).await?;
        let mut list = Vec::new();
        for (key, row) in rows {
            let operator = key.strip_prefix(PREFIX).and_then(|key| key.try_into().ok()).map(PublicKey);
            list.push(Listed { operator: operator.ok_or_else(damaged)?, unused: read(&row)?.unused });
        }
        Ok(list)
    }

    async fn keep(
        &self,
        key: &SecretKey,
        password: &str,
        unused: bool,
        Fresh { salt, nonce, .. }: Fresh,
    ) -> Result<Listed, ApiError> {
        if password.is_empty() {
            return Err(ApiError::new(Code::PasswordEmpty, "The password is empty."));
        }
        let mut entropy = KeystoreEntropy { salt: [0; 16], nonce: [0; 24] };
        entropy.salt.copy_from_slice(&salt[..16]);
        entropy.nonce.copy_from_slice(&nonce[..24]);
        let keystore =
            Keystore::encrypt(&*key.seed(), password, self.cost, entropy).map_err(|error| failed(&error))?;
        let operator = key.public_key();
        self.put(&operator, &Row { version: VERSION, unused, keystore: keystore.to_json() }).await?;
        Ok(Listed { operator, unused })
    }

    async fn open(&self, operator: &PublicKey, password: &str) -> Result<(SecretKey, Row), ApiError> {
        let mut reads = ReadSet::default();
        reads.insert(Table::Meta, row_key(operator));
        let view = self.store.load(&reads).await?;
        let row = view.row(Table::Meta, &row_key(operator)).ok_or_else(|| {
            ApiError::new(Code::NoOperatorKey, format!("This browser keeps no operator key {operator}."))
        })?;
        let row = read(row)?;
        let keystore = Keystore::from_json_within(&row.keystore, COST_MAX).map_err(|error| failed(&error))?;
        let seed = keystore.decrypt(password).map_err(|error| failed(&error))?;
        let key = SecretKey::from_seed(seed.as_bytes().try_into().map_err(|_| damaged())?);
        // A row that was copied to another key's place.
        if key.public_key() != *operator { Err(damaged()) } else { Ok((key, row)) }
    }

    async fn note_used(&self, operator: &PublicKey, row: Row) -> Result<(), ApiError> {
        if row.unused { self.put(operator, &Row { unused: false, ..row }).await } else { Ok(()) }
    }

    async fn put(&self, operator: &PublicKey, row: &Row) -> Result<(), ApiError> {
        let mut batch = Batch::default();
        batch.put(Table::Meta, row_key(operator), write(row).into_bytes());
        batch.sync();
        Ok(self.store.commit(&batch).await?)
    }
}

/// What registering and rotating need of an operator.
#[derive(Serialize)]
struct Consent {
    operator: PublicKey,
    operator_proof: String,
}

fn row_key(operator: &PublicKey) -> Vec<u8> {
    [PREFIX, &operator.0].concat()
}

fn write(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn read(row: &[u8]) -> Result<Row, ApiError> {
    let text = core::str::from_utf8(row).map_err(|_| damaged())?;
    match json::version(text) {
        Some(VERSION) => json::read(text).map_err(|_| damaged()),
        Some(found) => {
            let message = format!("The operator key is stored in form {found}, newer than this software.");
            Err(ApiError::new(Code::StoreNewer, message))
        }
        None => Err(damaged()),
    }
}

fn damaged() -> ApiError {
    ApiError::new(Code::StoreDamaged, "The stored operator key is damaged.")
}

/// A keystore's error as it is told of an operator key: its own texts are of a wallet's file.
fn failed(error: &KeystoreError) -> ApiError {
    let (code, message) = match error {
        KeystoreError::WrongPasswordOrDamaged => {
            (Code::WrongPassword, "Wrong password, or the stored operator key is damaged.")
        }
        KeystoreError::OutOfMemory { .. } => {
            (Code::OutOfMemory, "There is not enough memory to open the operator key.")
        }
        KeystoreError::UnsupportedVersion { .. } => {
            (Code::StoreNewer, "The operator key was encrypted by newer software.")
        }
        _ => return damaged(),
    };
    ApiError::new(code, message)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use serde_json::{Value, json};
    use timecoin_core::keys::verify;
    use timecoin_core::store::{MemoryError, MemoryStore};
    use timecoin_core::transaction::operator_statement;

    use super::*;

    /// The store of these tests, whose errors have no place in the table.
    struct Rows(MemoryStore);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Failed(#[from] MemoryError);

    impl From<Failed> for ApiError {
        fn from(error: Failed) -> Self {
            Self::new(Code::StoreFailed, error.to_string())
        }
    }

    impl Store for Rows {
        type Error = Failed;
        async fn load(&self, reads: &ReadSet) -> Result<timecoin_core::rows::View, Failed> {
            Ok(self.0.load(reads).await?)
        }
        async fn commit(&self, batch: &Batch) -> Result<(), Failed> {
            Ok(self.0.commit(batch).await?)
        }
        async fn scan(
            &self,
            table: Table,
            range: &Range,
            limit: usize,
        ) -> Result<Vec<(timecoin_core::rows::Key, timecoin_core::rows::Value)>, Failed> {
            Ok(self.0.scan(table, range, limit).await?)
        }
    }

    fn operators() -> Operators<Rows> {
        let cost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };
        Operators::new(Rows(MemoryStore::default()), cost)
    }

    fn fresh(byte: u8) -> Fresh {
        Fresh { seed: [byte; 32], salt: [byte; 32], nonce: [byte; 32] }
    }

    /// A call as a page makes it.
    fn call(operators: &Operators<Rows>, call: &Value, byte: u8) -> Result<Value, &'static str> {
        let call = json::read(&call.to_string()).unwrap();
        let answer = block_on(operators.answer(call, fresh(byte))).map_err(|error| error.code)?;
        Ok(serde_json::from_str(&answer).unwrap())
    }

    fn start(
        operators: &Operators<Rows>,
        operator: &PublicKey,
        password: &str,
    ) -> Result<bool, &'static str> {
        let (key, unused) = block_on(operators.start(operator, password)).map_err(|error| error.code)?;
        assert_eq!(key.public_key(), *operator);
        Ok(unused)
    }

    #[test]
    fn unused_is_said_once_and_of_keys_made_here_only() {
        let keys = operators();
        assert_eq!(call(&keys, &json!({ "list": {} }), 0), Ok(json!([])));
        let made = SecretKey::from_seed(&[1; 32]).public_key();
        let listed = call(&keys, &json!({ "create": { "password": "correct" } }), 1);
        assert_eq!(listed, Ok(json!({ "operator": made, "unused": true })));
        assert_eq!(start(&keys, &made, "wrong"), Err("wrong_password"));
        assert_eq!(start(&keys, &made, "correct"), Ok(true), "a wrong password used nothing up");
        assert_eq!(start(&keys, &made, "correct"), Ok(false), "said once");

        let shown = SecretKey::from_seed(&[2; 32]).public_key();
        call(&keys, &json!({ "create": { "password": "correct" } }), 2).unwrap();
        let seed = call(&keys, &json!({ "reveal": { "operator": shown, "password": "correct" } }), 0);
        assert_eq!(seed, Ok(json!(to_hex(&[2; 32]))));
        assert_eq!(start(&keys, &shown, "correct"), Ok(false), "what was shown may sign elsewhere");

        let brought = SecretKey::from_seed(&[3; 32]).public_key();
        call(&keys, &json!({ "add": { "key": to_hex(&[3; 32]), "password": "correct" } }), 3).unwrap();
        assert_eq!(start(&keys, &brought, "correct"), Ok(false), "what came from elsewhere may have signed");
        let again = json!({ "add": { "key": to_hex(&[1; 32]), "password": "another" } });
        assert_eq!(call(&keys, &again, 4), Ok(json!({ "operator": made, "unused": false })));
        assert_eq!(start(&keys, &made, "correct"), Err("wrong_password"), "the newer password counts");
        assert_eq!(call(&keys, &json!({ "list": {} }), 0).unwrap().as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_consent_is_for_one_owner_on_one_chain() {
        let keys = operators();
        let operator = SecretKey::from_seed(&[1; 32]).public_key();
        call(&keys, &json!({ "create": { "password": "correct" } }), 1).unwrap();
        let spec = ChainSpec::built_in("dev").unwrap();
        let owner = timecoin_core::lock::Lock::Key(SecretKey::from_seed(&[9; 32]).public_key()).owner();
        let address = Address { network: spec.consensus.network, owner }.to_string();
        let ask = |owner: &str, spec: &str| {
            let asked = json!({ "operator": operator, "password": "correct", "owner": owner, "spec": spec });
            call(&keys, &json!({ "consent": asked }), 0)
        };
        let consent = ask(&address, &spec.to_json()).unwrap();
        assert_eq!(consent["operator"], json!(operator));
        let proof = timecoin_core::hash::from_hex(consent["operator_proof"].as_str().unwrap()).unwrap();
        let message = operator_statement(&spec.consensus.id(), &owner, &operator);
        assert!(verify(&operator, &message, &timecoin_core::keys::Signature(proof)));
        assert_eq!(ask("dtime1nothing", &spec.to_json()), Err("bad_address"));
        assert_eq!(ask(&address, "{}"), Err("chain_spec"));
        assert_eq!(start(&keys, &operator, "correct"), Ok(true), "to agree is not to vote");
    }

    #[test]
    fn what_cannot_be_opened_says_so_and_no_secret_is_in_it() {
        let keys = operators();
        let operator = SecretKey::from_seed(&[1; 32]).public_key();
        assert_eq!(call(&keys, &json!({ "create": { "password": "" } }), 1), Err("password_empty"));
        assert_eq!(start(&keys, &operator, "correct"), Err("no_operator_key"));
        let short = json!({ "add": { "key": "0101", "password": "correct" } });
        assert_eq!(call(&keys, &short, 1), Err("bad_request"));
        call(&keys, &json!({ "create": { "password": "correct" } }), 1).unwrap();
        let held = |keys: &Operators<Rows>| {
            let mut reads = ReadSet::default();
            reads.insert(Table::Meta, row_key(&operator));
            let view = block_on(keys.store.load(&reads)).unwrap();
            String::from_utf8(view.row(Table::Meta, &row_key(&operator)).unwrap().to_vec()).unwrap()
        };
        let row = held(&keys);
        assert!(!row.contains(&to_hex(&[1; 32])) && !row.contains("correct"));
        let write = |text: &str| {
            let mut batch = Batch::default();
            batch.put(Table::Meta, row_key(&operator), text.as_bytes().to_vec());
            block_on(keys.store.commit(&batch)).unwrap();
        };
        for (name, from, to, code) in [
            ("a newer form", "{\"version\":1", "{\"version\":2", "store-newer"),
            ("not JSON", "{\"version\":1", "{\"version\":1,,", "store-damaged"),
            ("another cipher", "xchacha20", "rot13", "store-damaged"),
            ("another salt", "010101", "010102", "wrong_password"),
            ("work without end", "memory_kib\\\": 8", "memory_kib\\\": 1048576", "store-damaged"),
        ] {
            assert!(row.contains(from), "{name}: {row}");
            write(&row.replacen(from, to, 1));
            assert_eq!(start(&keys, &operator, "correct"), Err(code), "{name}");
        }
        write(&row);
        let remove = |password: &str| json!({ "remove": { "operator": operator, "password": password } });
        assert_eq!(call(&keys, &remove("wrong"), 0), Err("wrong_password"));
        assert_eq!(call(&keys, &remove("correct"), 0), Ok(Value::Null));
        assert_eq!(start(&keys, &operator, "correct"), Err("no_operator_key"));
    }
}
