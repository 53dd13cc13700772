//! TLS: this node's certificate on its one port, and what it trusts where it dials.
//!
//! TLS 1.3 only, with `ring`. A renewed certificate is taken up without a restart. Peers prove their keys inside the
//! WebSocket whatever TLS says: what is encrypted here is for browsers, which dial nothing else from `https:` pages,
//! and for RPC callers, who know a node by its name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tracing::{info, warn};

/// A byte stream, with TLS or without.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Carrier for S {}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {}", path.display(), crate::identity::advised(error))]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A file holds nothing of the kind.
    #[error("{} holds no {wanted} in PEM form: name another file", path.display())]
    Absent {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// Certificate and key do not belong together, or are of a kind not known here.
    #[error("{}: {error}: certificate and key must belong together", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong.
        error: Error,
    },
}

/// The certificate of this node's port, read again when its file changes.
#[derive(Clone)]
pub struct ServerTls(Arc<Files>);

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<Loaded>,
}

struct Loaded {
    acceptor: TlsAcceptor,
    written: Option<SystemTime>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls")
            .field("certificate", &self.0.certificate)
            .field("key", &self.0.key)
            .finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads a certificate chain and its key.
    ///
    /// # Errors
    /// If they cannot be read or used.
    pub fn of_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(Loaded::read(certificate, key)?);
        Ok(Self(Arc::new(Files { certificate: certificate.into(), key: key.into(), current })))
    }

    /// What takes the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let files = &*self.0;
        let current = files.current.load();
        if written(&files.certificate) == current.written {
            return current.acceptor.clone();
        }
        match Loaded::read(&files.certificate, &files.key) {
            Ok(loaded) => {
                info!(certificate = %files.certificate.display(), "a new certificate is in use");
                let acceptor = loaded.acceptor.clone();
                files.current.store(Arc::new(loaded));
                acceptor
            }
            // It may be half written; the one in use is good until it expires.
            Err(error) => {
                warn!(%error, "the changed certificate cannot be used yet");
                current.acceptor.clone()
            }
        }
    }
}

impl Loaded {
    fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let written = written(certificate);
        let chain = certificates(certificate)?;
        let key_of = PrivateKeyDer::from_pem_file(key).map_err(|error| refusal(key, "private key", error))?;
        let unusable = |error| TlsError::Unusable { path: certificate.into(), error };
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key_of)
            .map_err(unusable)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), written })
    }
}

fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wanted = "certificate";
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(list) if list.is_empty() => Err(TlsError::Absent { path: path.into(), wanted }),
        Ok(list) => Ok(list),
        Err(error) => Err(refusal(path, wanted, error)),
    }
}

fn refusal(path: &Path, wanted: &'static str, error: pem::Error) -> TlsError {
    match error {
        pem::Error::Io(error) => TlsError::Unreadable { path: path.into(), error },
        _ => TlsError::Absent { path: path.into(), wanted },
    }
}

/// Whose certificates are believed where this program dials.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

/// The authorities that browsers believe, too.
impl Default for Trust {
    fn default() -> Self {
        Self::of(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }
}

impl Trust {
    /// The authorities in a PEM file, and no others.
    ///
    /// # Errors
    /// If it cannot be read or holds none.
    pub fn of_file(path: &Path) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(certificates(path)?);
        if added == 0 {
            return Err(TlsError::Absent { path: path.into(), wanted: "certificate of an authority" });
        }
        Ok(Self::of(roots))
    }

    fn of(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .expect("ring knows TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    /// TLS over a stream, with a server of this name or address.
    pub(crate) async fn connect(&self, host: &str, stream: TcpStream) -> Result<Box<dyn Carrier>, Failure> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Failure::Name)?;
        let connected = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await;
        let stream = connected.map_err(|error| {
            let kind = error.kind();
            match error.into_inner().and_then(|inner| inner.downcast::<Error>().ok()) {
                Some(error) => Failure::Tls(*error),
                None => Failure::Io(kind),
            }
        })?;
        Ok(Box::new(stream))
    }
}

/// Why there is no TLS session.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// No certificate is for a name of this form.
    #[error("not a name that certificates are for")]
    Name,
    /// The other side's certificate or its use of TLS is refused, or it refuses ours.
    #[error(transparent)]
    Tls(Error),
    /// The connection failed.
    #[error("{0}")]
    Io(io::ErrorKind),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (certificate, key)
    }

    #[test]
    fn files_that_cannot_be_used_are_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let (one, one_key) = pair(folder.path(), "one");
        let (_, two_key) = pair(folder.path(), "two");
        let (text, gone) = (folder.path().join("text"), folder.path().join("gone"));
        fs::write(&text, "nothing").unwrap();
        assert!(ServerTls::of_files(&one, &one_key).is_ok());
        let refused = |certificate: &Path, key: &Path| ServerTls::of_files(certificate, key).unwrap_err();
        assert!(matches!(refused(&gone, &one_key), TlsError::Unreadable { .. }));
        assert!(matches!(refused(&one, &gone), TlsError::Unreadable { .. }));
        assert!(matches!(refused(&text, &one_key), TlsError::Absent { wanted: "certificate", .. }));
        assert!(matches!(refused(&one, &text), TlsError::Absent { wanted: "private key", .. }));
        assert!(matches!(refused(&one, &two_key), TlsError::Unusable { .. }));
        assert!(matches!(Trust::of_file(&text), Err(TlsError::Absent { .. })));
        assert!(Trust::of_file(&one).is_ok());
    }

    async fn exchange(server: &ServerTls, trust: &Trust, host: &str) -> Result<(), Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = server.acceptor();
        let accepting =
            tokio::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0).await });
        let connected = trust.connect(host, TcpStream::connect(address).await.unwrap()).await;
        let _ = accepting.await;
        connected.map(drop)
    }

    #[tokio::test]
    async fn only_a_trusted_certificate_for_the_name_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = pair(folder.path(), "node");
        let (other, _) = pair(folder.path(), "other");
        let server = ServerTls::of_files(&certificate, &key).unwrap();
        let trust = Trust::of_file(&certificate).unwrap();
        assert_eq!(exchange(&server, &trust, "localhost").await, Ok(()));
        assert_eq!(exchange(&server, &trust, "127.0.0.1").await, Ok(()));
        let refused = exchange(&server, &trust, "elsewhere.example").await;
        assert!(matches!(refused, Err(Failure::Tls(Error::InvalidCertificate(_)))), "{refused:?}");
        let stranger = exchange(&server, &Trust::of_file(&other).unwrap(), "localhost").await;
        assert!(matches!(stranger, Err(Failure::Tls(Error::InvalidCertificate(_)))), "{stranger:?}");
        let public = exchange(&server, &Trust::default(), "localhost").await;
        assert!(matches!(public, Err(Failure::Tls(Error::InvalidCertificate(_)))), "{public:?}");
    }

    #[tokio::test]
    async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = pair(folder.path(), "node");
        let server = ServerTls::of_files(&certificate, &key).unwrap();
        let old = Trust::of_file(&certificate).unwrap();
        let age = |seconds: u64| {
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            fs::File::options().write(true).open(&certificate).unwrap().set_modified(time).unwrap();
        };
        fs::write(&certificate, "half writ").unwrap();
        age(1);
        assert_eq!(exchange(&server, &old, "localhost").await, Ok(()), "the old one still serves");
        pair(folder.path(), "node");
        age(2);
        let new = Trust::of_file(&certificate).unwrap();
        assert_eq!(exchange(&server, &new, "localhost").await, Ok(()));
        assert!(exchange(&server, &old, "localhost").await.is_err());
    }
}
