use proptest::prelude::*;

use super::*;
use crate::transaction::{TransactionLimits, VerifiedTransaction};
use crate::wallet::build::TransactionBuilder;
use crate::wallet::coins::Spendable;
use crate::wallet::testing::{CHAIN, EXPIRES_AT, LIMITS, coin, key, single, stranger, threshold};

const SEED: [u8; 32] = [5; 32];

/// Two owners spend: two of keys 1, 2, 3, and the first key of `SEED`.
fn sample() -> OfflineFile {
    let path = Path::account(0, 0).unwrap();
    let own = ExtendedKey::derive(&SEED, &path).unwrap().public_key();
    let coins = [coin(1, 60_000, threshold(2, &[1, 2, 3])), coin(2, 60_000, Lock::Key(own))];
    let unsigned = TransactionBuilder::new(CHAIN, LIMITS, EXPIRES_AT)
        .pay(stranger(1), Amount(100_000))
        .memo("rent")
        .fund(&coins, coins[1].output.owner)
        .unwrap();
    let hints = vec![Hint { key: own, path }];
    OfflineFile { network: Network::Dev, signing: unsigned.into(), hints }
}

fn signed_by(file: &OfflineFile, keys: &[SecretKey]) -> OfflineFile {
    let mut file = OfflineFile::from_json(&file.to_json()).unwrap();
    file.signing.sign(keys);
    OfflineFile::from_json(&file.to_json()).unwrap()
}

#[test]
fn signatures_gather_from_separate_machines() {
    let mut file = sample();
    let seeds = file.keys(&SEED);
    assert_eq!(seeds.len(), 1);
    assert!(file.keys(&[6; 32]).is_empty(), "another seed");
    let parts = [signed_by(&file, &[key(3)]), signed_by(&file, &seeds), signed_by(&file, &[key(2), key(8)])];
    for (at, part) in parts.into_iter().enumerate() {
        assert!(matches!(file.signing.finish(), Err(SignError::Incomplete { .. })), "before part {at}");
        file.signing.merge(part.signing).unwrap();
    }
    assert_eq!(file.signing.missing().count(), 0);
    file.signing.sign(&[key(1)]);
    let signed = file.signing.finish().unwrap();
    VerifiedTransaction::verify(signed, &CHAIN, &LIMITS).expect("a surplus signature is left out");
}

#[test]
fn a_review_says_who_is_paid_what() {
    let file = sample();
    let own: BTreeSet<_> = file.signing.unsigned().locks.keys().copied().collect();
    let review = file.review(&own);
    let unsigned = file.signing.unsigned();
    let address = |owner| Address { network: Network::Dev, owner }.to_string();
    assert_eq!(review.payments[0], Payment { to: address(stranger(1)), amount: Amount(100_000), own: false });
    assert!(review.payments[1].own);
    assert_eq!((review.spent, review.fee), (Amount(120_000), unsigned.fee));
    assert_eq!(review.leaves, Amount(100_000 + unsigned.fee.0));
    assert_eq!(review.memo, "72656e74");
    assert_eq!(file.check_chain(CHAIN), Ok(()));
    assert!(matches!(file.check_chain(ChainId::default()), Err(OfflineError::WrongChain { .. })));
}

/// The coin is worth more than the file says: the signature over the lie is not valid for the real coin.
#[test]
fn a_lie_about_a_coin_makes_the_signature_worthless() {
    let honest = sample();
    let mut unsigned = honest.signing.unsigned().clone();
    unsigned.spent[0].amount = Amount(60_001);
    let lie = OfflineFile { signing: unsigned.into(), ..honest.clone() };
    let signed = signed_by(&lie, &[key(1), key(2)]);
    let mut target = honest.signing;
    assert_eq!(target.merge(signed.signing.clone()), Err(SignError::OtherTransaction));
    for (owner, signature) in signed.signing.signatures() {
        assert!(matches!(target.insert(owner, signature), Err(SignError::Invalid(_))));
    }
}

#[test]
fn bad_files_are_refused() {
    use OfflineError::{Coins, Lock as BadLock, Locks, Malformed, Signature, Sums, UnsupportedVersion};
    let good = sample();
    let text = good.to_json();
    let with = |change: &dyn Fn(&mut Unsigned)| {
        let mut unsigned = good.signing.unsigned().clone();
        change(&mut unsigned);
        OfflineFile { signing: unsigned.into(), ..good.clone() }.to_json()
    };
    let swapped = {
        let signed = signed_by(&good, &[key(1), key(2)]).to_json();
        let parts: Vec<_> = signed.split("\"signature\": \"").collect();
        format!("{}\"signature\": \"{}{}\"signature\": \"{}", parts[0], "00", &parts[1][2..], parts[2])
    };
    let odd_lock = Lock::Threshold { required: 1, keys: vec![key(1).public_key()] };
    let table = [
        ("empty", String::new(), Malformed),
        ("too long", " ".repeat(FILE_SIZE_MAX) + &text, Malformed),
        ("newer", text.replace("\"version\": 1", "\"version\": 2"), UnsupportedVersion { found: 2 }),
        ("unknown key", text.replace("\"version\": 1", "\"version\": 1, \"x\": 0"), Malformed),
        ("odd digits", text.replace("\"transaction\": \"", "\"transaction\": \"0"), Malformed),
        ("bad path", text.replace("m/44'", "m/44"), Malformed),
        ("a coin too few", with(&|unsigned| unsigned.spent.truncate(1)), Coins),
        (
            "a coin twice",
            with(&|unsigned| unsigned.transaction.inputs[1] = unsigned.transaction.inputs[0]),
            Coins,
        ),
        (
            "no coin",
            with(&|unsigned| (unsigned.transaction.inputs, unsigned.spent) = Default::default()),
            Coins,
        ),
        ("no output", with(&|unsigned| unsigned.transaction.outputs.clear()), Malformed),
        ("money from nothing", with(&|unsigned| unsigned.spent[0].amount = Amount(1)), Sums),
        ("too much money", with(&|unsigned| unsigned.spent[0].amount = Amount(u64::MAX)), Sums),
        ("a reward", with(&|unsigned| unsigned.transaction.action = Action::Reward { height: 1 }), Malformed),
        ("a lock too few", with(&|unsigned| drop(unsigned.locks.pop_first())), Locks),
        ("a lock too many", with(&|unsigned| drop(unsigned.locks.insert(stranger(1), single(7)))), Locks),
        (
            "an odd lock",
            with(&|unsigned| drop(unsigned.locks.insert(stranger(1), odd_lock.clone()))),
            BadLock(LockError::KeyCount(1)),
        ),
    ];
    for (name, text, error) in table {
        assert_eq!(OfflineFile::from_json(&text), Err(error), "{name}");
    }
    assert!(matches!(OfflineFile::from_json(&swapped), Err(Signature(SignError::Invalid(_)))));
}

#[test]
fn unknown_positions_and_owners_are_refused() {
    let mut file = sample();
    let signature = key(1).sign(b"");
    let owner = threshold(2, &[1, 2, 3]).owner();
    for (owner, position) in [(owner, 3), (stranger(1), 0)] {
        let refused = file.signing.insert(owner, KeySignature { key: position, signature });
        assert_eq!(refused, Err(SignError::UnknownKey { owner, position }));
    }
}

proptest! {
    #[test]
    fn files_round_trip(grains in 200_000..1_000_000u64, lock in crate::wallet::testing::locks(), signs: bool) {
        let coins: Vec<Spendable> = vec![coin(3, grains, lock)];
        let limits = TransactionLimits { fee_per_kb_min: 1, ..LIMITS };
        let unsigned = TransactionBuilder::new(CHAIN, limits, EXPIRES_AT).fund_with_all(&coins, stranger(1)).unwrap();
        let unsigned = Unsigned { change: None, ..unsigned };
        let mut file = OfflineFile { network: Network::Main, signing: unsigned.into(), hints: Vec::new() };
        if signs {
            prop_assert!(file.signing.sign(&[key(1), key(4)]) <= 2);
        }
        prop_assert_eq!(OfflineFile::from_json(&file.to_json()), Ok(file));
    }

    #[test]
    fn hostile_files_never_panic(text in "\\PC{0,100}") {
        prop_assert!(OfflineFile::from_json(&text).is_err());
    }
}
