//! Key files: the node key of a data folder, and operator keys.
//!
//! A key file is the seed in hexadecimal, readable by its owner only, written whole or not at all. Beside an
//! operator key that has never signed lies a marker, `<file>.unused`: the first start of a validator that gets as
//! far takes it away before the key can sign, so a folder without votes and without the marker means lost votes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use timecoin_core::hash::{from_hex, to_hex};
use timecoin_core::keys::SecretKey;
use zeroize::Zeroizing;

/// The node key's file in a data folder.
const NODE_KEY: &str = "node.key";
/// A seed, with room for a line end.
const FILE_SIZE_MAX: u64 = 80;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be read or written.
    #[error("key file {}: {}", path.display(), advised(error))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// Others may read it.
    #[error("key file {} can be read by others: run chmod 600 on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It holds no key.
    #[error("key file {} does not hold 64 hexadecimal digits: restore it from a copy", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: try again")]
    Entropy,
}

/// What the system says of a file, and what to do.
pub(crate) fn advised(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder: check the path".to_owned(),
        io::ErrorKind::AlreadyExists => "it exists already: name another place".to_owned(),
        io::ErrorKind::PermissionDenied => "not allowed: see whom it belongs to".to_owned(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: free some space and try again".to_owned()
        }
        io::ErrorKind::IsADirectory => "it is a folder: name a file".to_owned(),
        _ => format!("{error}: check the path and the disk"),
    }
}

/// The node key of a data folder, made if there is none.
///
/// # Errors
/// If the file cannot be read or made.
pub fn node_key(data: &Path) -> Result<SecretKey, IdentityError> {
    let path = data.join(NODE_KEY);
    match read_key(&path) {
        Err(IdentityError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            let key = new_key()?;
            write_key(&path, &key)?;
            Ok(key)
        }
        found => found,
    }
}

/// A new key from the system's random bytes.
///
/// # Errors
/// If there are none.
pub fn new_key() -> Result<SecretKey, IdentityError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|_| IdentityError::Entropy)?;
    Ok(SecretKey::from_seed(&seed))
}

/// Reads a key file.
///
/// # Errors
/// If it cannot be read, others can read it too, or it holds no key.
pub fn read_key(path: &Path) -> Result<SecretKey, IdentityError> {
    let failed = |error| IdentityError::Io { path: path.to_path_buf(), error };
    let file = File::open(path).map_err(failed)?;
    if is_exposed(&file).map_err(failed)? {
        return Err(IdentityError::Exposed { path: path.to_path_buf() });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_SIZE_MAX).read_to_string(&mut text).map_err(failed)?;
    let seed = from_hex(text.trim()).map(Zeroizing::new);
    let seed = seed.map_err(|_| IdentityError::Malformed { path: path.to_path_buf() })?;
    Ok(SecretKey::from_seed(&seed))
}

/// Writes a key file that must not exist yet.
///
/// # Errors
/// If it exists or cannot be written.
pub fn write_key(path: &Path, key: &SecretKey) -> Result<(), IdentityError> {
    let text = Zeroizing::new(format!("{}\n", to_hex(&*key.seed())));
    write_new(path, text.as_bytes()).map_err(|error| IdentityError::Io { path: path.to_path_buf(), error })
}

/// Writes an operator key that has never signed, with its marker.
///
/// # Errors
/// If the file exists or cannot be written.
pub fn write_unused_key(path: &Path, key: &SecretKey) -> Result<(), IdentityError> {
    let marker = marker(path);
    write_key(path, key)?;
    write_new(&marker, b"").map_err(|error| IdentityError::Io { path: marker, error })
}

/// Whether the key in a file has never signed, by its marker. From now on it has: the marker is taken away.
///
/// # Errors
/// If the marker cannot be taken away; the key must not be used then.
pub fn take_unused(path: &Path) -> Result<bool, IdentityError> {
    let marker = marker(path);
    let taken = fs::remove_file(&marker).and_then(|()| sync_folder(&marker));
    match taken {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(IdentityError::Io { path: marker, error }),
    }
}

/// Puts the marker back: the key was not used after all. Where that fails it counts as used, which is safe.
pub(crate) fn put_unused(path: &Path) {
    let marker = marker(path);
    if let Err(error) = write_new(&marker, b"") {
        tracing::warn!(marker = %marker.display(), %error, "the operator key counts as used now");
    }
}

fn marker(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".unused");
    name.into()
}

/// Writes a file whole or not at all, for its owner only, and never over another.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = write_temporary(path, bytes)?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    linked?;
    sync_folder(path)
}

/// Writes a file whole or not at all, for its owner only, over what was there before.
pub(crate) fn write_over(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::rename(write_temporary(path, bytes)?, path)?;
    sync_folder(path)
}

fn write_temporary(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    // Left over from a crash, if it exists: it never was the file.
    let _ = fs::remove_file(&temporary);
    let mut file = private().open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(temporary)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
}

#[cfg(not(unix))]
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    options
}

#[cfg(unix)]
pub(crate) fn is_exposed(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_exposed(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let key = node_key(folder.path()).unwrap();
        assert_eq!(node_key(folder.path()).unwrap().public_key(), key.public_key());
        fs::remove_file(folder.path().join(NODE_KEY)).unwrap();
        assert_ne!(node_key(folder.path()).unwrap().public_key(), key.public_key());
    }

    #[test]
    fn a_key_is_unused_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.key");
        let key = new_key().unwrap();
        write_unused_key(&path, &key).unwrap();
        assert_eq!(read_key(&path).unwrap().public_key(), key.public_key());
        assert!(take_unused(&path).unwrap());
        assert!(!take_unused(&path).unwrap());
        let again = write_unused_key(&path, &key).unwrap_err();
        assert!(matches!(again, IdentityError::Io { .. }), "{again}");
        assert!(!take_unused(&path).unwrap(), "a refused write leaves no marker");
    }

    #[test]
    fn bad_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for (name, text) in
            [("empty", ""), ("short", "abcd"), ("not hex", &"zz".repeat(32)), ("long", &"a".repeat(500))]
        {
            write_new(&path, text.as_bytes()).unwrap();
            let error = read_key(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Malformed { .. }), "{name}: {error}");
            fs::remove_file(&path).unwrap();
        }
    }

    /// Whoever can put a link where a key will be written must not choose what is overwritten.
    #[cfg(unix)]
    #[test]
    fn a_link_is_not_written_through_and_what_a_crash_left_does_not_matter() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("key"), folder.path().join("other"));
        fs::write(&other, "precious").unwrap();
        for link in ["key", "key.new"] {
            symlink(&other, folder.path().join(link)).unwrap();
        }
        let refused = write_key(&path, &new_key().unwrap()).unwrap_err();
        assert!(refused.to_string().contains("exists already"), "{refused}");
        fs::remove_file(&path).unwrap();
        fs::write(folder.path().join("key.new"), "half a k").unwrap();
        fs::write(&other, "precious").unwrap();
        symlink(&other, folder.path().join("again.new")).unwrap();
        for name in ["key", "again"] {
            let (path, key) = (folder.path().join(name), new_key().unwrap());
            write_key(&path, &key).unwrap();
            assert_eq!(read_key(&path).unwrap().public_key(), key.public_key());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_key(&path, &new_key().unwrap()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read_key(&path).unwrap_err(), IdentityError::Exposed { .. }));
    }
}
