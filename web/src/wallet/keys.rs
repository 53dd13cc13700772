//! Making a wallet, opening it, and what needs the password.

use std::rc::Rc;

use timecoin_core::rows::Batch;
use timecoin_core::store::Store;
use timecoin_core::time::Time;
use timecoin_core::vote::Height;
use timecoin_core::wallet::keystore::KeystoreEntropy;
use timecoin_core::wallet::secret::Secret;

use super::book::Book;
use super::rows::{self, Secrets};
use super::vault::MINUTES;
use super::{Wallet, WalletError};

/// Words that have to be typed for the backup check.
const CHECKED_MIN: usize = 3;

/// What a new wallet is made of.
#[derive(Clone, Copy, Debug)]
pub struct NewWallet<'a> {
    /// Encrypts the words.
    pub password: &'a str,
    /// The first height at which the wallet may have got a coin.
    pub born: Height,
    /// Fresh random bytes.
    pub entropy: KeystoreEntropy,
}

crate::api! {
    /// One word of the backup check.
    params Position {
        /// Its place, counted from 1.
        at: u32,
        /// What was typed.
        word: String,
    }
}

impl<W: Store> Wallet<W> {
    /// Makes a wallet of fresh entropy, unlocked; returns its words, to be shown once.
    ///
    /// # Errors
    /// If there is one, the password is empty, or the rows cannot be written.
    pub async fn create(
        &self,
        new: NewWallet<'_>,
        entropy: &[u8],
        now: Time,
    ) -> Result<Vec<String>, WalletError> {
        let secret = Secret::from_entropy(entropy)?;
        let words = secret.words().map(str::to_owned).collect();
        self.make(new, secret, true, now).await?;
        Ok(words)
    }

    /// Brings a wallet back from its words, unlocked. They count as backed up.
    ///
    /// # Errors
    /// As [`Self::create`], and if they are no recovery words.
    pub async fn restore(&self, new: NewWallet<'_>, words: &str, now: Time) -> Result<(), WalletError> {
        self.make(new, Secret::from_words(words)?, false, now).await
    }

    async fn make(
        &self,
        new: NewWallet<'_>,
        secret: Secret,
        made_here: bool,
        now: Time,
    ) -> Result<(), WalletError> {
        if matches!(*self.damage.borrow(), Some(WalletError::Newer { .. })) || made_here {
            self.check_damage()?;
        }
        if new.password.is_empty() {
            return Err(WalletError::PasswordEmpty);
        }
        let keystore = secret.seal(new.password, self.cost, new.entropy)?;
        let seed = secret.seed();
        // Whoever typed the words has them.
        let secrets = Secrets { keystore, born: new.born, backed_up: !made_here, made_here };
        let book = Book::made(self.chain.id, secrets, &seed)?;
        // Its owner is shown the first address.
        book.give_out()?;
        {
            let _turn = self.writing.lock().await;
            if self.book.borrow().is_some() {
                return Err(WalletError::Exists);
            }
            // What may be left of a damaged wallet goes first: a wallet without its secrets is none.
            let left = rows::deletion(&self.store).await?;
            self.store.commit(&left).await.map_err(WalletError::store)?;
            self.write(&book, book.secret_rows()).await?;
            self.book.replace(Some(Rc::new(book)));
            self.damage.replace(None);
        }
        self.vault.borrow_mut().open(secret, seed, MINUTES, now);
        self.tell();
        Ok(())
    }

    /// Decrypts the words.
    fn decrypt(book: &Book, password: &str) -> Result<Secret, WalletError> {
        // Cheap to copy, and not borrowed while the password is stretched.
        let keystore = book.secrets().keystore.clone();
        Ok(Secret::open(&keystore, password)?)
    }

    /// Opens the wallet for so many minutes.
    ///
    /// # Errors
    /// If the password is wrong or the stored keys are damaged, which cannot be told apart.
    pub async fn unlock(&self, password: &str, minutes: Option<u32>, now: Time) -> Result<(), WalletError> {
        let book = self.book()?;
        let secret = Self::decrypt(&book, password)?;
        let seed = secret.seed();
        if book.state.borrow().account().lacking() > 0 {
            book.extend(&seed)?;
            if book.unused().is_none() {
                book.give_out()?;
            }
            self.keep(&book, Batch::default()).await?;
        }
        self.vault.borrow_mut().open(secret, seed, minutes.unwrap_or(MINUTES), now);
        self.tell();
        Ok(())
    }

    /// Wipes the secret from memory.
    pub fn lock(&self) {
        self.vault.borrow_mut().lock();
        self.tell();
    }

    /// Locks if it is time; returns when it will be.
    pub fn lock_in_time(&self, now: Time) -> Option<Time> {
        let mut vault = self.vault.borrow_mut();
        let was_open = vault.until().is_some();
        let is_open = vault.is_open(now);
        let until = vault.until();
        drop(vault);
        if was_open && !is_open {
            self.tell();
        }
        until
    }

    /// The words, for the password.
    ///
    /// # Errors
    /// If there is no wallet or the password is wrong.
    pub fn words(&self, password: &str) -> Result<Vec<String>, WalletError> {
        Ok(Self::decrypt(&*self.book()?, password)?.words().map(str::to_owned).collect())
    }

    /// Takes the words at some positions as proof that all of them were written down.
    ///
    /// # Errors
    /// If the wallet is locked, one is wrong, or they are too few.
    pub async fn confirm_backup(&self, positions: &[Position], now: Time) -> Result<(), WalletError> {
        let book = self.open_book(now)?;
        let is_right = {
            let mut vault = self.vault.borrow_mut();
            let words: Vec<_> = vault.secret(now).ok_or(WalletError::Locked)?.words().collect();
            let mut places: Vec<_> = positions.iter().map(|position| position.at).collect();
            places.sort_unstable();
            places.dedup();
            let word =
                |at: u32| usize::try_from(at).ok()?.checked_sub(1).and_then(|at| words.get(at).copied());
            places.len() >= CHECKED_MIN
                && positions.iter().all(|Position { at, word: typed }| {
                    word(*at) == Some(typed.trim().to_ascii_lowercase().as_str())
                })
        };
        if !is_right {
            return Err(WalletError::Backup);
        }
        self.keep(&book, book.back_up()).await?;
        self.tell();
        Ok(())
    }

    /// Removes the wallet from this browser: only its words bring it back.
    ///
    /// # Errors
    /// If the password is wrong, or the rows cannot be deleted: then it is still there.
    pub async fn forget(&self, password: &str) -> Result<(), WalletError> {
        let book = self.book()?;
        Self::decrypt(&book, password)?;
        {
            let _turn = self.writing.lock().await;
            let batch = rows::deletion(&self.store).await?;
            self.store.commit(&batch).await.map_err(WalletError::store)?;
            book.go();
        }
        self.book.replace(None);
        self.vault.borrow_mut().lock();
        self.tell();
        Ok(())
    }
}
