//! What keeps a node from starting: a code that does not change, and what to do.

use std::path::Path;

use super::*;

fn file(place: &Place, name: &str, text: &str) -> PathBuf {
    fs::write(place.path(name), text).unwrap();
    place.path(name)
}

/// Says `error[code]: …` once, in one line, with this in it.
fn assert_says(said: &str, code: &str, part: &str, name: &str) {
    assert_eq!(said.lines().count(), 1, "{name}: {said}");
    assert!(said.starts_with(&format!("error[{code}]: ")), "{name}: {said}");
    assert!(said.contains(part), "{name}: {said}");
}

#[test]
fn lesson_14_bad_settings_are_refused_with_a_code_and_advice() {
    let place = Place::new();
    let cases = [
        ("unknown key", "a.toml", "lisen = '127.0.0.1:1'", "config-unknown-key", "unknown key `lisen`"),
        ("another's key", "b.toml", "max_peers = 8", "config-unknown-key", "unknown key `max_peers`"),
        ("wrong type", "c.toml", "cache_mib = 'many'", "config-syntax", "cache_mib"),
        ("no TOML", "d.toml", "chain = ", "config-syntax", "d.toml"),
        ("no JSON", "e.json", "{\"chain\":}", "config-syntax", "e.json"),
        ("no address", "f.toml", "listen = 'here'", "config-syntax", "listen"),
        ("bad value", "g.toml", "mempool_mib = 0", "config-value", "mempool_mib"),
        ("half of TLS", "h.toml", "tls_certificate = '/a.pem'", "config-value", "tls_key"),
        (
            "no certificate",
            "i.toml",
            "tls_certificate = '/a.pem'\ntls_key = '/a.key'",
            "tls-unreadable",
            "/a.pem",
        ),
        ("no such chain", "j.toml", "chain = '/nowhere.json'", "config-unreadable", "/nowhere.json"),
        (
            "no such app",
            "k.toml",
            "chain = 'dev'\ndata = '/tmp'\nweb = '/nowhere'",
            "config-unreadable",
            "/nowhere",
        ),
    ];
    for (name, file_name, text, code, part) in cases {
        let text = text.replace("'/tmp'", &format!("'{}'", place.path("data").display()));
        assert_says(&place.refused(&file(&place, file_name, &text)), code, part, name);
    }
    assert_says(&place.refused(&place.path("gone.toml")), "config-unreadable", "gone.toml", "no file");
    let not_a_spec = file(&place, "spec.json", "{}");
    let text = format!("chain = '{}'", not_a_spec.display());
    assert_says(&place.refused(&file(&place, "l.toml", &text)), "chain-spec", "spec.json", "no chain spec");
    let (with_short_token, _) = place.settings("short", &place.line("rpc_token", "short.token"));
    file(&place, "short.token", "secret\n");
    assert_says(&place.refused(&with_short_token), "config-value", "rpc_token", "a token anyone guesses");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_is_refused_with_a_code_and_advice() {
    let place = Place::new();
    let node = place.start("node", "").await;
    let (same_port, _) = place.settings("port", &format!("listen = '{}'\n", node.address));
    assert_says(&place.refused(&same_port), "port-in-use", "another port", "port in use");
    let (same_data, _) = place.settings("data", &place.line("data", "node.data"));
    assert_says(&place.refused(&same_data), "data-locked", "another folder", "folder in use");
    assert_eq!(node.call("getblockcount", json!([])).await, 0, "the first one does not mind");
    node.stop();
    let (elsewhere, _) = place.settings("elsewhere", "listen = '192.0.2.1:24201'\n");
    assert_says(
        &place.refused(&elsewhere),
        "address-unusable",
        "an address of this machine",
        "no such address",
    );
}

/// The files below a folder, with their sizes.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut list = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list.extend(files(&path))
        } else {
            list.push((path.clone(), path.metadata().unwrap().len()))
        }
    }
    list.sort();
    list
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_used_is_refused_and_left_as_it_is() {
    let place = Place::new();
    place.start("node", "").await.stop();
    let (settings, _) = place.settings("node", "");
    let data = place.path("node.data");
    let other = Place::new();
    fs::copy(other.path("chain.json"), place.path("other.json")).unwrap();
    let other_chain = place.line("chain", "other.json") + &place.line("data", "node.data");
    let (other_chain, _) = place.settings("other", &other_chain);
    assert_says(&place.refused(&other_chain), "data-other-chain", "", "another chain's folder");

    let format = data.join("store/format");
    let known = fs::read_to_string(&format).unwrap();
    let found = files(&data);
    for (name, text, code) in
        [("newer", "4000000000\n", "data-newer"), ("unreadable", "zzz\n", "data-damaged")]
    {
        fs::write(&format, text).unwrap();
        let before = files(&data);
        assert_says(&place.refused(&settings), code, "", name);
        assert_eq!(files(&data), before, "{name}: nothing is touched");
    }
    fs::write(&format, &known).unwrap();
    assert_eq!(files(&data), found);

    let journal = data.join("store/sign.journal");
    fs::remove_file(&journal).unwrap();
    assert_says(&place.refused(&settings), "data-damaged", "restore a backup", "a file is missing");
    assert!(!journal.exists(), "and not silently made anew");
}

/// The first start with a new key takes its marker away. A start that failed for the port did so too, and the
/// validator was silent for ever: a chain of one never made a block.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_costs_a_new_validator_nothing() {
    let place = Place::new();
    let other = place.start("other", "").await;
    let operator = place.line("operator_key", "operator.key");
    let (taken, _) = place.settings("validator", &format!("{operator}listen = '{}'\n", other.address));
    assert_says(&place.refused(&taken), "port-in-use", "another port", "port in use");
    let validator = place.start("validator", &operator).await;
    let txid = validator.call("sendrawtransaction", json!([place.payment(0, 1)])).await;
    let done = validator.call("waittransactionfinality", json!([txid])).await;
    assert_eq!(done["final"], true);
}
