//! The web app's files at `/`: a fixed set, read when the app's page changes and looked up by name.
//!
//! A request never becomes a path of the file system. Links and hidden files are not taken into the set. A path of
//! the app that is no file gets the app's page, which knows its own paths; a missing script or picture is not
//! found. The page may run its own scripts and nothing else, and speak to this host and the chain's bootstrap peers: a
//! validator needs more than one relay.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Most bytes of all files.
const SIZE_MAX: u64 = 64 << 20;
/// Most files.
const FILES_MAX: usize = 4096;
/// Deepest folder.
const DEPTH_MAX: usize = 8;
const PAGE: &str = "index.html";
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
     style-src 'self'; img-src 'self' data:; font-src 'self'; worker-src 'self'; manifest-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'";

/// A file as it is served.
struct Asset {
    bytes: Bytes,
    kind: &'static str,
    cache: &'static str,
    tag: String,
}

/// All files of one build.
struct Build {
    assets: BTreeMap<String, Asset>,
    /// When its page was written: another time means another build.
    written: Option<SystemTime>,
}

struct App {
    folder: PathBuf,
    build: ArcSwap<Build>,
    policy: String,
}

/// Serves the files of a folder that has an `index.html`; its pages may also speak to the relays at these URLs.
///
/// # Errors
/// If it has none, or more than an app has.
pub fn router(folder: &Path, relays: &[String]) -> io::Result<Router> {
    let folder = folder.canonicalize()?;
    let build = ArcSwap::from_pointee(Build::read(&folder)?);
    let policy = policy(relays);
    Ok(Router::new().fallback(answer).with_state(Arc::new(App { folder, build, policy })))
}

/// The policy with the origins of these relays, each once.
fn policy(relays: &[String]) -> String {
    let origins: BTreeSet<_> = relays.iter().filter_map(|url| origin(url)).collect();
    origins.into_iter().fold(CONTENT_SECURITY_POLICY.to_owned(), |policy, origin| policy + " " + origin)
}

/// `wss://host:port` of a URL. What a policy has no form for is left out: an address of IPv6, and whatever could be read as
/// another part of the policy.
fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "ws" | "wss"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = authority.split_once(':').unwrap_or((authority, "0"));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let is_sound = !host.is_empty() && host.bytes().all(is_name) && port.parse::<u16>().is_ok();
    is_sound.then(|| &url[..scheme.len() + "://".len() + authority.len()])
}

async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    if has_range_list(request.headers()) {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    let path = request.uri().path();
    let Some(name) = name_of(path, &app.build.load()) else { return StatusCode::NOT_FOUND.into_response() };
    let build = if name == PAGE { app.current().await } else { app.build.load_full() };
    let Some(asset) = build.assets.get(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, asset.cache),
        (header::ETAG, asset.tag.as_str()),
        (header::CONTENT_SECURITY_POLICY, app.policy.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    if known == Some(&asset.tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, asset.bytes.clone()).into_response()
}

/// The file a path asks for: itself, or the page where it is one of the app's own paths.
fn name_of(path: &str, build: &Build) -> Option<String> {
    let name = path.strip_prefix('/')?;
    if build.assets.contains_key(name) {
        return Some(name.to_owned());
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_');
    let is_own = name.bytes().all(is_plain) && !path.contains("//");
    is_own.then(|| PAGE.to_owned())
}

/// One range may be ignored; a list of them is asked for by nobody who wants a file.
fn has_range_list(headers: &HeaderMap) -> bool {
    let mut ranges = headers.get_all(header::RANGE).iter();
    ranges.next().is_some_and(|range| range.as_bytes().contains(&b',')) || ranges.next().is_some()
}

impl App {
    /// The build on disk, read anew where its page was written since.
    async fn current(self: &Arc<Self>) -> Arc<Build> {
        let app = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let served = app.build.load_full();
            if written(&app.folder) == served.written {
                return served;
            }
            // A build that is half written is left alone until it can be read.
            let Ok(build) = Build::read(&app.folder) else { return served };
            let build = Arc::new(build);
            app.build.store(build.clone());
            build
        });
        read.await.unwrap_or_else(|_| self.build.load_full())
    }
}

fn written(folder: &Path) -> Option<SystemTime> {
    fs::metadata(folder.join(PAGE)).and_then(|page| page.modified()).ok()
}

impl Build {
    fn read(folder: &Path) -> io::Result<Self> {
        let mut build = Self { assets: BTreeMap::new(), written: written(folder) };
        let mut budget = SIZE_MAX;
        build.read_folder(folder, "", DEPTH_MAX, &mut budget)?;
        if build.assets.contains_key(PAGE) { Ok(build) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str, depth: usize, budget: &mut u64) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
                continue;
            };
            // Neither a file nor a folder: a link, whose target may be anywhere.
            let kind = entry.file_type()?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if kind.is_dir() && depth > 0 {
                self.read_folder(&entry.path(), &format!("{name}/"), depth - 1, budget)?;
            } else if kind.is_file() {
                let bytes = read_file(&entry.path(), budget)?;
                if self.assets.len() >= FILES_MAX {
                    return Err(io::ErrorKind::FileTooLarge.into());
                }
                self.assets.insert(name.clone(), Asset::new(&name, bytes));
            }
        }
        Ok(())
    }
}

fn read_file(path: &Path, budget: &mut u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(*budget + 1).read_to_end(&mut bytes)? as u64;
    *budget = budget.checked_sub(read).ok_or(io::ErrorKind::FileTooLarge)?;
    Ok(bytes)
}

impl Asset {
    fn new(name: &str, bytes: Vec<u8>) -> Self {
        // Built files carry a hash in their name.
        let is_hashed = name.starts_with("assets/");
        Self {
            kind: content_type(Path::new(name)),
            cache: if is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" },
            tag: format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..32]),
            bytes: bytes.into(),
        }
    }
}

fn content_type(name: &Path) -> &'static str {
    match name.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_speak_to_their_host_and_to_the_relays_named() {
        let table = [
            ("wss://relay.example/p2p", Some("wss://relay.example")),
            ("wss://relay.example:24200/p2p", Some("wss://relay.example:24200")),
            ("ws://127.0.0.1:24202/p2p", Some("ws://127.0.0.1:24202")),
            ("ws://relay.example?x=/y", Some("ws://relay.example")),
            ("https://relay.example/p2p", None),
            ("relay.example", None),
            ("wss://", None),
            ("wss://*", None),
            ("wss://*.example", None),
            ("wss://relay.example:*", None),
            ("wss://relay.example:", None),
            ("wss://relay.example:70000", None),
            ("wss://user@relay.example", None),
            ("wss://[::1]:24200/p2p", None),
            ("wss://relay.example; script-src *", None),
            ("wss://relay.example 'unsafe-inline'", None),
        ];
        for (url, expected) in table {
            assert_eq!(origin(url), expected, "{url}");
        }
        let own = policy(&[]);
        assert!(own.ends_with("; connect-src 'self'"), "{own}");
        let urls = table.map(|(url, _)| url.to_owned());
        let more = " ws://127.0.0.1:24202 ws://relay.example wss://relay.example wss://relay.example:24200";
        assert_eq!(policy(&urls), own + more);
    }

    #[test]
    fn a_folder_without_a_page_is_refused_and_links_are_left_out() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("app");
        fs::create_dir_all(folder.join("deep/er")).unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        assert!(router(&folder, &[]).is_err(), "no page");
        fs::write(folder.join(PAGE), "page").unwrap();
        fs::write(folder.join("deep/er/a.js"), "script").unwrap();
        fs::write(folder.join(".env"), "secret").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outside.path(), folder.join("out")).unwrap();
            std::os::unix::fs::symlink(outside.path().join("secret"), folder.join("link")).unwrap();
        }
        let build = Build::read(&folder).unwrap();
        let names: Vec<_> = build.assets.keys().map(String::as_str).collect();
        assert_eq!(names, ["deep/er/a.js", PAGE]);
    }
}
