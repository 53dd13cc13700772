//! The chain spec at `/spec.json`, beside the app: what a light node or a receipt checker in a page starts from.
//!
//! The format is that of `timecoin spec show`, which is what every reader of a spec takes. Whoever takes it from here
//! trusts this node for the choice of the chain, as with the page itself; a program of one's own brings its own copy.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use timecoin_core::spec::ChainSpec;

/// Nothing in it may run or load anything, should somebody open it as a page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// A chain spec as it is served.
#[derive(Clone, Debug)]
pub struct SpecFile {
    text: Bytes,
    tag: String,
}

impl SpecFile {
    /// The file that `timecoin spec show` prints of this chain.
    #[must_use]
    pub fn new(spec: &ChainSpec) -> Self {
        let text = spec.to_json() + "\n";
        Self { tag: format!("\"{}\"", &blake3::hash(text.as_bytes()).to_hex()[..32]), text: text.into() }
    }
}

pub(super) async fn answer(State(spec): State<SpecFile>, asked: HeaderMap) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        // Checkpoints and bootstrap peers may be others after a restart.
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, spec.tag.as_str()),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    if known == Some(&spec.tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, spec.text.clone()).into_response()
}
