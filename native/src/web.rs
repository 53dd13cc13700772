//! The web app's files at `/`, read from a folder for every request.
//!
//! Only files within the folder are served. A path that is no file gets the app's page, which knows its own
//! paths; a missing script or picture is not found. The page may run its own scripts and nothing else.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

const FILE_SIZE_MAX: u64 = 32 << 20;
const PAGE: &str = "index.html";
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
     style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self' ws: wss:; worker-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves the files of a folder that has an `index.html`.
///
/// # Errors
/// If it has none.
pub fn router(folder: &Path) -> io::Result<Router> {
    let folder = folder.canonicalize()?;
    folder.join(PAGE).metadata()?;
    Ok(Router::new().fallback(answer).with_state(Arc::new(folder)))
}

async fn answer(State(folder): State<Arc<PathBuf>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = request.uri().path().to_owned();
    let found = tokio::task::spawn_blocking(move || read(&folder, &path)).await;
    let Ok(Ok((name, bytes))) = found else { return StatusCode::NOT_FOUND.into_response() };
    // Built files carry a hash in their name.
    let cache = if name.starts_with("assets") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        ("content-type", content_type(&name)),
        ("cache-control", cache),
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ];
    (headers, bytes).into_response()
}

/// The file a path leads to, and its name within the folder.
fn read(folder: &Path, path: &str) -> io::Result<(PathBuf, Vec<u8>)> {
    let name = PathBuf::from(path.trim_start_matches('/'));
    let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_plain || path.contains(['\\', '\0', '%']) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let wanted = folder.join(&name);
    if wanted.is_file() {
        // A link must not lead out of the folder.
        if !wanted.canonicalize()?.starts_with(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        return Ok((name, read_file(&wanted)?));
    }
    match name.extension() {
        Some(_) => Err(io::ErrorKind::NotFound.into()),
        None => Ok((PAGE.into(), read_file(&folder.join(PAGE))?)),
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(FILE_SIZE_MAX + 1).read_to_end(&mut bytes)?;
    if read as u64 > FILE_SIZE_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
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
    fn only_files_within_the_folder_are_read() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("app");
        std::fs::create_dir_all(folder.join("assets")).unwrap();
        std::fs::write(outside.path().join("secret.txt"), "secret").unwrap();
        std::fs::write(folder.join(PAGE), "page").unwrap();
        std::fs::write(folder.join("assets/a.js"), "script").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(outside.path().join("secret.txt"), folder.join("link.txt")).unwrap();
        let folder = folder.canonicalize().unwrap();
        let cases = [
            ("root", "/", Some("page")),
            ("file", "/assets/a.js", Some("script")),
            ("the app's own path", "/block/7", Some("page")),
            ("missing file", "/assets/b.js", None),
            ("up", "/../secret.txt", None),
            ("up later", "/assets/../../secret.txt", None),
            ("encoded", "/%2e%2e/secret.txt", None),
            ("absolute", "//etc/passwd.txt", None),
            ("link", "/link.txt", None),
            ("back slashes", "/..\\secret", None),
        ];
        for (name, path, expected) in cases {
            let found = read(&folder, path).ok().map(|(_, bytes)| String::from_utf8(bytes).unwrap());
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }
}
