//! The model-based light-client tests of tendermint-rs: its abstract blocks, built from our own headers and
//! certificates with the same validators, weights, times and signers, must get the same verdicts.
//!
//! One step is judged differently, on purpose: a block whose *next* set is empty ([`EMPTY_NEXT_SET`]).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::sync::Arc;

use data_encoding::BASE64;
use flate2::read::GzDecoder;
use serde_json::Value;
use timecoin_core::block::{BLOCK_VERSION, Body, Header};
use timecoin_core::certificate::Certificate;
use timecoin_core::evidence::Evidence;
use timecoin_core::hash::{BlockId, Hash, StateRoot};
use timecoin_core::keys::{PublicKey, SecretKey};
use timecoin_core::light::{AgePolicy, LightBlock, Options, Trusted, Verdict, verify};
use timecoin_core::merkle::{Blake, LogHash};
use timecoin_core::testing::chain::{certify, commit_data, dev_spec, validator_set};
use timecoin_core::time::Time;
use timecoin_core::validators::ValidatorSet;
use timecoin_core::vote::{Height, ViewNumber};

use super::vectors;

/// The file and step with a next set of no members. There the original says `NOT_ENOUGH_TRUST`; here such a set
/// cannot be formed, so the block cannot exist. What is trusted stays the same either way.
const EMPTY_NEXT_SET: (&str, usize) = ("MC4_4_faulty_TestFailure.json.gz", 0);

/// A block of the model.
struct Model<'a> {
    height: Height,
    time: Time,
    validators: ValidatorSet,
    next_validators: Option<ValidatorSet>,
    signers: Vec<&'a str>,
}

/// The model's keys come from the bytes of a validator's name.
fn key(id: &str) -> SecretKey {
    let mut seed = [0; 32];
    seed[..id.len()].copy_from_slice(id.as_bytes());
    SecretKey::from_seed(&seed)
}

fn number(value: &Value) -> u64 {
    let text = value.as_str().map(str::parse);
    text.map_or_else(|| value.as_u64(), Result::ok).unwrap_or_else(|| panic!("{value} is a number"))
}

/// Moments of the model lie on full seconds of the first hour of 1970.
fn moment(value: &Value) -> Time {
    let text = value.as_str().expect("a time is text");
    let clock = text.strip_prefix("1970-01-01T").and_then(|rest| rest.strip_suffix('Z'));
    let parts = clock.unwrap_or_else(|| panic!("{text} is in 1970")).split(':');
    let seconds = parts.fold(0, |sum, part| sum * 60 + part.parse::<u64>().expect("full seconds"));
    Time(seconds * 1000)
}

/// `None` for the empty set, which our types cannot express.
fn set_of_names(value: &Value) -> Option<ValidatorSet> {
    let members = value.as_array().expect("a set is a list").iter();
    let name = |member: &Value| key(member["id"].as_str().expect("a name")).public_key();
    let members: Vec<_> = members.map(|member| (name(member), number(&member["voting_power"]))).collect();
    (!members.is_empty()).then(|| validator_set(&members))
}

fn set_of_keys(value: &Value) -> ValidatorSet {
    let members = value["validators"].as_array().expect("a set is a list").iter();
    let public = |member: &Value| {
        let bytes = BASE64.decode(member["pub_key"]["value"].as_str().expect("a key").as_bytes());
        PublicKey(bytes.expect("base64").try_into().expect("32 bytes"))
    };
    validator_set(
        &members.map(|member| (public(member), number(&member["voting_power"]))).collect::<Vec<_>>(),
    )
}

impl<'a> Model<'a> {
    fn read(step: &'a Value) -> Self {
        let block = &step["testgen_block"];
        let header = &block["header"];
        assert_eq!(block["commit"]["header"], *header, "the commit is for this header");
        let votes = block["commit"]["votes"].as_array().expect("votes are a list").iter();
        let committed = votes.filter(|vote| vote["is_nil"] != true && vote["prevote"] != true);
        Self {
            height: Height(number(&header["height"])),
            time: Time(number(&header["time"]) * 1000),
            validators: set_of_names(&header["validators"]).expect("someone signs"),
            next_validators: set_of_names(&header["next_validators"]),
            signers: committed.map(|vote| vote["validator"]["id"].as_str().expect("a name")).collect(),
        }
    }

    fn block(&self, parent: BlockId, options: &Options) -> Option<LightBlock> {
        let next_validators = self.next_validators.clone()?;
        let header = header(self.height, self.time, parent, &self.validators, &next_validators, options);
        let keys: Vec<_> = self.signers.iter().map(|id| key(id)).collect();
        let certificate = certify(commit_data(&header), &self.validators, &keys, options.chain());
        Some(LightBlock::new(header, certificate, self.validators.clone(), next_validators))
    }
}

fn header(
    height: Height,
    time: Time,
    parent: BlockId,
    validators: &ValidatorSet,
    next_validators: &ValidatorSet,
    options: &Options,
) -> Header {
    Header {
        version: BLOCK_VERSION,
        height,
        view: ViewNumber(0),
        time,
        parent,
        transactions_root: Body::default().transactions_root(),
        state_root: StateRoot::default(),
        supply: options.spec().issued(time),
        filter_hash: Hash::ZERO,
        history_root: Blake::empty(),
        validators_hash: validators.hash(),
        next_validators_hash: next_validators.hash(),
        evidence_root: Evidence::root(&[]),
        parent_certificate_hash: Certificate::hash(None),
        proposer: PublicKey::default(),
    }
}

/// The chain of the model: sets change at any height, and the clock drift is zero.
fn options(trust_period_ms: u64) -> Options {
    let mut spec = dev_spec();
    spec.genesis_time = Time(0);
    spec.rules[0].rules.epoch_blocks = 1;
    let mut options = Options::new(Arc::new(spec), AgePolicy::TrustPeriod);
    (options.trust_period_ms, options.clock_drift_ms) = (trust_period_ms, 0);
    options
}

fn initial(file: &Value) -> Trusted {
    let initial = &file["initial"];
    let header = &initial["signed_header"]["header"];
    Trusted {
        height: Height(number(&header["height"])),
        id: BlockId(Hash([1; 32])),
        time: moment(&header["time"]),
        next_validators: set_of_keys(&initial["next_validator_set"]),
    }
}

/// Runs one file; returns how many verdicts were compared.
fn run(name: &str, file: &Value) -> usize {
    let options = options(number(&file["initial"]["trusting_period"]) / 1_000_000);
    let mut trusted = initial(file);
    let steps = file["input"].as_array().expect("steps are a list");
    let models: Vec<_> = steps.iter().map(Model::read).collect();
    // Lowest first, because a block names its parent. The model has one block per height.
    let mut order: Vec<_> = models.iter().collect();
    order.sort_by_key(|model| model.height);
    let mut blocks = BTreeMap::from([(trusted.height, None)]);
    let mut ids = BTreeMap::from([(trusted.height, trusted.id)]);
    for model in order {
        let below = Height(model.height.0 - 1);
        let block = model.block(ids.get(&below).copied().unwrap_or_default(), &options);
        ids.extend(block.as_ref().map(|block| (model.height, block.header.id())));
        blocks.insert(model.height, block);
    }
    let mut compared = 0;
    for (at, (step, model)) in steps.iter().zip(&models).enumerate() {
        let Some(block) = &blocks[&model.height] else {
            assert_eq!((name, at), EMPTY_NEXT_SET, "the one block that cannot be built here");
            continue;
        };
        let verdict = verify(&trusted, block, &options, moment(&step["now"]));
        let word = match &verdict {
            Verdict::Success(_) => "SUCCESS",
            Verdict::NotEnoughTrust { .. } => "NOT_ENOUGH_TRUST",
            Verdict::Invalid(_) => "INVALID",
        };
        assert_eq!(step["verdict"], word, "{name}, step {at}: {verdict:?}");
        compared += 1;
        if let Verdict::Success(newer) = verdict {
            trusted = newer;
        }
    }
    compared
}

#[test]
fn verdicts_agree_with_the_model() {
    let Some(folder) = vectors("light-client") else { return };
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("the folder is readable")
        .map(|entry| entry.expect("the folder is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .collect();
    names.sort();
    let mut compared = 0;
    for path in &names {
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        let file = GzDecoder::new(File::open(path).expect("the vector file is readable"));
        compared += run(&name, &serde_json::from_reader(file).expect("the vector file is JSON"));
    }
    assert_eq!((names.len(), compared), (16, 34), "files and verdicts");
}
