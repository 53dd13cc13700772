//! The wallet's secret: recovery words, kept encrypted, and the passwords that open them.
//!
//! Neither is ever taken from the command line or the environment, where other programs see it: they are typed at
//! the terminal, or read from a file that only its owner can read.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;

use serde::Deserialize;
use timecoin_core::wallet::keystore::{KdfCost, Keystore, KeystoreEntropy};
use timecoin_core::wallet::mnemonic::Seed;
use timecoin_core::wallet::secret::{self, SecretError};
use zeroize::Zeroizing;

use super::WalletError;
use crate::identity::{IdentityError, is_exposed};

/// No file with a password or recovery words is larger.
const FILE_SIZE_MAX: u64 = 64 << 10;

/// Recovery words.
#[derive(Clone, Debug)]
pub struct Secret(secret::Secret);

impl Secret {
    /// New words: 12, or 24.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn generate(words: u8) -> Result<Self, WalletError> {
        let mut entropy = Zeroizing::new(vec![0; usize::from(words) / 3 * 4]);
        getrandom::fill(&mut entropy).map_err(|_| WalletError::Entropy)?;
        Ok(Self(secret::Secret::from_entropy(&entropy)?))
    }

    /// The words as their owner wrote them down.
    ///
    /// # Errors
    /// If they are no recovery words.
    pub fn from_words(words: &str) -> Result<Self, WalletError> {
        Ok(Self(secret::Secret::from_words(words)?))
    }

    /// The words, to be shown to their owner.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        self.0.phrase()
    }

    /// What keys are derived from.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.0.seed()
    }

    /// Encrypts the words.
    ///
    /// # Errors
    /// If the system gives no random bytes or too little memory.
    pub fn encrypt(&self, password: &str) -> Result<Keystore, WalletError> {
        let mut entropy = KeystoreEntropy { salt: [0; 16], nonce: [0; 24] };
        getrandom::fill(&mut entropy.salt).map_err(|_| WalletError::Entropy)?;
        getrandom::fill(&mut entropy.nonce).map_err(|_| WalletError::Entropy)?;
        Ok(self.0.seal(password, KdfCost::default(), entropy)?)
    }

    /// Decrypts the words.
    ///
    /// # Errors
    /// If the password is wrong, or it is no wallet's keystore.
    pub fn decrypt(keystore: &Keystore, password: &str) -> Result<Self, WalletError> {
        secret::Secret::open(keystore, password).map(Self).map_err(|error| match error {
            SecretError::Keystore(error) => error.into(),
            SecretError::Content => WalletError::Secret,
        })
    }
}

/// The password, from a file or the terminal.
///
/// # Errors
/// If the file cannot be read or others can read it, or there is no terminal.
pub fn password(file: Option<&Path>) -> Result<Zeroizing<String>, WalletError> {
    match file {
        Some(path) => password_from(path),
        None => ask("Password: "),
    }
}

/// A password for a new keystore: from a file, or typed twice.
///
/// # Errors
/// As [`password`], and if it is empty or typed differently.
pub fn new_password(file: Option<&Path>) -> Result<Zeroizing<String>, WalletError> {
    let password = match file {
        Some(path) => password_from(path)?,
        None => {
            let first = ask("New password: ")?;
            if *first != *ask("The same again: ")? {
                return Err(WalletError::PasswordMismatch);
            }
            first
        }
    };
    if password.is_empty() { Err(WalletError::PasswordEmpty) } else { Ok(password) }
}

/// Recovery words: from a file, from what is piped in, or typed. A file may also be one of a devnet's wallets.
///
/// # Errors
/// If they cannot be read, or are no recovery words.
pub fn recovery_words(file: Option<&Path>) -> Result<Secret, WalletError> {
    #[derive(Deserialize)]
    struct DevnetWallet {
        words: String,
    }
    let text = match file {
        Some(path) => read_private(path)?,
        None if io::stdin().is_terminal() => ask_for("the words", "--words-file", "Recovery words: ")?,
        None => {
            let mut line = Zeroizing::new(String::new());
            let mut input = io::stdin().lock().take(FILE_SIZE_MAX);
            input.read_line(&mut line).map_err(WalletError::file("standard input"))?;
            line
        }
    };
    match serde_json::from_str::<DevnetWallet>(&text) {
        Ok(wallet) => Secret::from_words(&Zeroizing::new(wallet.words)),
        Err(_) => Secret::from_words(&text),
    }
}

fn password_from(path: &Path) -> Result<Zeroizing<String>, WalletError> {
    let text = read_private(path)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, WalletError> {
    let file = File::open(path).map_err(WalletError::file(path))?;
    if is_exposed(&file).map_err(WalletError::file(path))? {
        return Err(WalletError::Exposed(IdentityError::Exposed { path: path.to_path_buf() }));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_SIZE_MAX).read_to_string(&mut text).map_err(WalletError::file(path))?;
    Ok(text)
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, WalletError> {
    ask_for("the password", "--password-file", prompt)
}

fn ask_for(what: &'static str, flag: &'static str, prompt: &str) -> Result<Zeroizing<String>, WalletError> {
    let typed = rpassword::prompt_password(prompt);
    typed.map(Zeroizing::new).map_err(|_| WalletError::NoTerminal { what, flag })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::write_new;

    #[test]
    fn words_round_trip_through_the_keystore() {
        for count in [12, 24] {
            let secret = Secret::generate(count).unwrap();
            assert_eq!(secret.words().split(' ').count(), usize::from(count));
            let keystore = secret.encrypt("secret").unwrap();
            assert_eq!(Secret::decrypt(&keystore, "secret").unwrap().words(), secret.words());
            assert!(matches!(Secret::decrypt(&keystore, "Secret"), Err(WalletError::Password)));
        }
    }

    #[test]
    fn passwords_come_from_private_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        write_new(&path, b"hunter two\nsecond line\n").unwrap();
        assert_eq!(*password(Some(&path)).unwrap(), "hunter two", "the first line, without its end");
        let empty = folder.path().join("empty");
        write_new(&empty, b"\n").unwrap();
        assert!(matches!(new_password(Some(&empty)), Err(WalletError::PasswordEmpty)));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            assert_eq!(password(Some(&path)).unwrap_err().code(), "key-exposed");
        }
        assert_eq!(password(Some(&folder.path().join("none"))).unwrap_err().code(), "wallet-file");
    }

    #[test]
    fn words_come_from_plain_text_or_a_devnets_wallet() {
        let folder = tempfile::tempdir().unwrap();
        let words = format!("{}about", "abandon ".repeat(11));
        let devnet = serde_json::json!({ "words": words, "address": "dtime1" }).to_string();
        for (name, text) in
            [("plain", words.clone()), ("lines", words.replace(' ', "\n")), ("devnet", devnet)]
        {
            let path = folder.path().join(name);
            write_new(&path, text.as_bytes()).unwrap();
            assert_eq!(*recovery_words(Some(&path)).unwrap().words(), words, "{name}");
        }
        let path = folder.path().join("misspelt");
        write_new(&path, words.replace("about", "abuot").as_bytes()).unwrap();
        assert_eq!(recovery_words(Some(&path)).unwrap_err().code(), "recovery-words");
    }
}
