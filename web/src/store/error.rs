//! What can be wrong with a browser's storage, as a user would have to be told.

use indexed_db_futures::error::{Error, OpenDbError, UnexpectedDataError};
use timecoin_core::rows::Table;
use web_sys::DomException;

/// Why the store could not do as asked. The texts of browsers are kept beside what they mean to us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The page has no database: private browsing, blocked site data, a sandboxed frame.
    #[error("this page may not store data ({name}: {message})")]
    Unavailable {
        /// The exception's name.
        name: String,
        /// Its text.
        message: String,
    },
    /// Another tab holds the database open in an older form.
    #[error("another tab keeps an older version of the store open")]
    Blocked,
    /// A newer program wrote the database.
    #[error("the store was written by a newer version of this program")]
    Newer,
    /// The browser grants no more space, or the disk is full.
    #[error("the browser has no space left for this site")]
    Quota,
    /// The database was deleted while in use: site data cleared, or evicted.
    #[error("the store was deleted while in use")]
    Deleted,
    /// The browser took the connection away, again after it was opened anew.
    #[error("the connection to the store was lost ({name}: {message})")]
    Lost {
        /// The exception's name.
        name: String,
        /// Its text.
        message: String,
    },
    /// A table is absent, or holds what we never write.
    #[error("the table {} is damaged", table.name())]
    Damaged {
        /// Which.
        table: Table,
    },
    /// The layout of the database is not the one its version number claims.
    #[error("the store lacks a table")]
    Layout,
    /// Anything else.
    #[error("the store failed ({name}: {message})")]
    Failed {
        /// The exception's name, or the library's word.
        name: String,
        /// Its text.
        message: String,
    },
}

impl StoreError {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "store-unavailable",
            Self::Blocked => "store-blocked",
            Self::Newer => "store-newer",
            Self::Quota => "store-quota",
            Self::Deleted => "store-deleted",
            Self::Lost { .. } => "store-lost",
            Self::Damaged { .. } | Self::Layout => "store-damaged",
            Self::Failed { .. } => "store-failed",
        }
    }

    /// What opening the database failed with.
    pub(super) fn opening(error: OpenDbError) -> Self {
        let unavailable = |name: &str, message: String| Self::Unavailable { name: name.to_owned(), message };
        match error {
            // The library's reading of an exception thrown by `open`; our version is never zero.
            OpenDbError::VersionZero => unavailable("SecurityError", "open was refused".to_owned()),
            OpenDbError::UnsupportedEnvironment | OpenDbError::NullFactory => {
                unavailable("NotSupportedError", "there is no IndexedDB here".to_owned())
            }
            OpenDbError::Base(Error::DomException(exception)) => {
                let exception = DomException::from(exception);
                match exception.name().as_str() {
                    "VersionError" => Self::Newer,
                    "QuotaExceededError" => Self::Quota,
                    // Requests refused, and the internal failures that private modes and full disks show as.
                    "SecurityError" | "InvalidStateError" | "UnknownError" | "NotAllowedError" => {
                        unavailable(&exception.name(), exception.message())
                    }
                    _ => exception.into(),
                }
            }
            OpenDbError::Base(other) => other.into(),
        }
    }
}

impl From<DomException> for StoreError {
    fn from(exception: DomException) -> Self {
        let (name, message) = (exception.name(), exception.message());
        match name.as_str() {
            "QuotaExceededError" => Self::Quota,
            "NotFoundError" => Self::Layout,
            // A closed or vanished connection, as the three engines say it. `UnknownError` is also WebKit's word for
            // a database process that went away.
            "InvalidStateError" | "AbortError" | "TransactionInactiveError" | "UnknownError" => {
                Self::Lost { name, message }
            }
            _ => Self::Failed { name, message },
        }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::DomException(exception) => DomException::from(exception).into(),
            // Aborted by nobody's request of ours: the connection went away under it.
            Error::MissingData(UnexpectedDataError::TransactionAborted) => {
                Self::Lost { name: "AbortError".to_owned(), message: error.to_string() }
            }
            other => Self::Failed { name: "Error".to_owned(), message: other.to_string() },
        }
    }
}
