//! Certificate Transparency's Merkle proofs against our code instantiated with SHA-256.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde_json::Value;
use sha2::{Digest, Sha256};
use timecoin_core::hash::Hash;
use timecoin_core::merkle::{ConsistencyProof, Frontier, InclusionProof, LogHash, root};

use super::vectors;

/// RFC 6962's own hash.
enum Sha256Log {}

fn sha256(pieces: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    pieces.iter().for_each(|piece| hasher.update(piece));
    Hash(hasher.finalize().into())
}

impl LogHash for Sha256Log {
    fn leaf(data: &[u8]) -> Hash {
        sha256(&[&[0], data])
    }

    fn node(left: &Hash, right: &Hash) -> Hash {
        sha256(&[&[1], &left.0, &right.0])
    }

    fn empty() -> Hash {
        sha256(&[])
    }
}

/// `None` where the text is not 32 bytes: such a hash cannot even be decoded here.
fn hash(value: &Value) -> Option<Hash> {
    let bytes = BASE64.decode(value.as_str()?.as_bytes()).ok()?;
    Some(Hash(bytes.try_into().ok()?))
}

fn path(value: &Value) -> Option<Vec<Hash>> {
    value.as_array().map_or(Some(Vec::new()), |hashes| hashes.iter().map(hash).collect())
}

fn size(value: &Value) -> u64 {
    value.as_u64().expect("sizes are 64-bit")
}

fn inclusion_holds(case: &Value) -> bool {
    let proof = |path| InclusionProof { index: size(&case["leafIdx"]), size: size(&case["treeSize"]), path };
    match (hash(&case["root"]), hash(&case["leafHash"]), path(&case["proof"])) {
        (Some(root), Some(leaf), Some(path)) => proof(path).verify::<Sha256Log>(&root, &leaf).is_ok(),
        _ => false,
    }
}

fn consistency_holds(case: &Value) -> bool {
    let proof =
        |path| ConsistencyProof { old_size: size(&case["size1"]), new_size: size(&case["size2"]), path };
    match (hash(&case["root1"]), hash(&case["root2"]), path(&case["proof"])) {
        (Some(old), Some(new), Some(path)) => proof(path).verify::<Sha256Log>(&old, &new).is_ok(),
        _ => false,
    }
}

fn json_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable vector folder") {
        let path = entry.expect("a readable folder entry").path();
        if path.is_dir() { json_files(&path, files) } else { files.push(path) }
    }
}

/// Runs every file of a folder; returns how many held and how many were refused.
fn run(folder: &str, holds: fn(&Value) -> bool) -> Option<(usize, usize)> {
    let (mut files, mut good, mut bad) = (Vec::new(), 0, 0);
    json_files(&vectors(folder)?, &mut files);
    for file in files {
        let case: Value = serde_json::from_slice(&fs::read(&file).expect("readable")).expect("JSON");
        let refused = case["wantErr"].as_bool().expect("a verdict");
        assert_eq!(holds(&case), !refused, "{}", file.display());
        *(if refused { &mut bad } else { &mut good }) += 1;
    }
    Some((good, bad))
}

#[test]
fn inclusion_proofs_get_the_stated_verdict() {
    let Some((good, bad)) = run("rfc6962/inclusion", inclusion_holds) else { return };
    println!("inclusion: {good} good, {bad} bad");
    assert!(good >= 4 && bad >= 20, "{good} good, {bad} bad");
}

#[test]
fn consistency_proofs_get_the_stated_verdict() {
    let Some((good, bad)) = run("rfc6962/consistency", consistency_holds) else { return };
    println!("consistency: {good} good, {bad} bad");
    assert!(good >= 4 && bad >= 20, "{good} good, {bad} bad");
}

/// The good consistency vectors begin with the size-1 root of the empty leaf: our builder makes the same logs.
#[test]
fn our_builder_reaches_the_vectors_roots() {
    let Some(folder) = vectors("rfc6962/consistency") else { return };
    let mut files = Vec::new();
    json_files(&folder, &mut files);
    let leaves: [&[u8]; 8] = [
        &[],
        &[0],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];
    let leaves: Vec<_> = leaves.iter().map(|leaf| Sha256Log::leaf(leaf)).collect();
    let mut compared = 0;
    for file in files.iter().filter(|file| file.ends_with("happy-path.json")) {
        let case: Value = serde_json::from_slice(&fs::read(file).expect("readable")).expect("JSON");
        let (old, new) = (size(&case["size1"]), size(&case["size2"]));
        let log = &leaves[..new as usize];
        let mut frontier = Frontier::default();
        log.iter().for_each(|leaf| frontier.append::<Sha256Log>(*leaf));
        assert_eq!(Some(frontier.root::<Sha256Log>()), hash(&case["root2"]), "{}", file.display());
        assert_eq!(Some(root::<Sha256Log>(log[..old as usize].iter().copied())), hash(&case["root1"]));
        let proof = ConsistencyProof::from_leaves::<Sha256Log>(log, old).expect("a proof");
        assert_eq!(Some(proof.path), path(&case["proof"]), "{}", file.display());
        compared += 1;
    }
    assert!(compared >= 4, "{compared}");
}
