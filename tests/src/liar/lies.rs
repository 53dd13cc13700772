//! The lies, and what each makes of a true reply.

use timecoin_core::amount::Amount;
use timecoin_core::answer::{Nothing, Question, Refusal, Reply};
use timecoin_core::block::Header;
use timecoin_core::filter::Filter;
use timecoin_core::hash::{ChainId, Hash};
use timecoin_core::state::tree::{OwnerPlace, Summary};
use timecoin_core::testing::chain::{certify, commit_data, key, validator_set};
use timecoin_core::time::Time;
use timecoin_core::vote::Height;

/// How far above the truth [`Lie::HigherHeight`] claims to be.
const HIGHER_BY: u64 = 1_000_000;
/// Numbers of the keys of validators that are none.
const OTHER_KEYS: std::ops::Range<u64> = 900_000..900_004;

/// A way of lying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// None: an honest relay.
    None,
    /// Every proof proves something better than the truth: twice the balance, another coin, another past.
    WrongProof,
    /// Answers stand under a header that is not the chain's.
    WrongHead,
    /// The newest block's certificate has a signature that nobody made.
    ForgedCertificate,
    /// The newest block is certified by validators of its own.
    OtherValidators,
    /// What was said once is said for ever.
    StaleHead,
    /// An owner's last coin, and every block's filter, are left out.
    WithheldCoin,
    /// It has every block, and gives none.
    WithheldBlock,
    /// It has a million blocks more than there are.
    HigherHeight,
    /// Payments are final as soon as they are heard of; none is passed on.
    FinalPayment,
    /// Payments are taken, and not passed on.
    SwallowedPayment,
    /// Payments are refused.
    RefusedPayment,
    /// Another answer than was asked for.
    WrongAnswer,
    /// It knows nothing.
    Unknown,
    /// No answer.
    Silent,
    /// The truth, late.
    Slow,
    /// Bytes that are no message.
    Garbage,
}

/// What becomes of a question.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// This is answered.
    Reply(Reply),
    /// Nothing is.
    Nothing,
    /// Bytes that are no message.
    Garbage,
}

impl Lie {
    /// Every lie, with its name, and the code under which the core's light client reports it: none where it is no more
    /// than an answer that did not come, or a word that counts for nothing.
    pub const ALL: [(Self, &'static str, Option<&'static str>); 17] = [
        (Self::None, "none", None),
        (Self::WrongProof, "wrong-proof", Some("wrong_proof")),
        (Self::WrongHead, "wrong-head", Some("wrong_head")),
        (Self::ForgedCertificate, "forged-certificate", Some("forged_certificate")),
        (Self::OtherValidators, "other-validators", Some("forged_certificate")),
        (Self::StaleHead, "stale-head", Some("stale_head")),
        (Self::WithheldCoin, "withheld-coin", Some("wrong_proof")),
        (Self::WithheldBlock, "withheld-block", Some("withheld")),
        (Self::HigherHeight, "higher-height", Some("withheld")),
        (Self::FinalPayment, "final-payment", Some("wrong_proof")),
        (Self::SwallowedPayment, "swallowed-payment", None),
        (Self::RefusedPayment, "refused-payment", None),
        (Self::WrongAnswer, "wrong-answer", Some("wrong_answer")),
        (Self::Unknown, "unknown", None),
        (Self::Silent, "silent", None),
        (Self::Slow, "slow", None),
        (Self::Garbage, "garbage", None),
    ];

    /// The lie of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(lie, ..)| *lie)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(lie, ..)| *lie == self).map_or("", |(_, name, _)| name)
    }

    /// The code under which it is to be reported.
    #[must_use]
    pub fn code(self) -> Option<&'static str> {
        Self::ALL.iter().find(|(lie, ..)| *lie == self).and_then(|(.., code)| *code)
    }

    /// The height it claims to be at.
    pub(super) fn height(self, height: Height) -> Height {
        if self == Self::HigherHeight { Height(height.0 + HIGHER_BY) } else { height }
    }

    /// What is said without asking for the truth.
    pub(super) fn unasked(self, question: &Question) -> Option<Said> {
        let reply = match (self, question) {
            (Self::Silent, _) => return Some(Said::Nothing),
            (Self::Garbage, _) => return Some(Said::Garbage),
            (Self::WrongAnswer, Question::Height(_)) => Reply::Nothing(Nothing::Unknown),
            (Self::WrongAnswer, _) => Reply::Height(Height(7)),
            (Self::Unknown, Question::LightBlock { .. }) => return None,
            (Self::Unknown, _) | (Self::WithheldBlock, Question::LightBlock { .. }) => {
                Reply::Nothing(Nothing::Unknown)
            }
            (Self::SwallowedPayment | Self::FinalPayment, Question::Submit(signed)) => {
                Reply::Submit(Ok(signed.transaction.id()))
            }
            (Self::RefusedPayment, Question::Submit(_)) => {
                Reply::Submit(Err(Refusal::new("fee_too_low", "the fee is never high enough here")))
            }
            _ => return None,
        };
        Some(Said::Reply(reply))
    }

    /// What becomes of a true reply of a chain.
    pub(super) fn turn(self, reply: Reply, chain: &ChainId) -> Reply {
        match self {
            Self::WrongProof => wrong_proof(reply),
            Self::WrongHead => with_header(reply, |header| header.time = Time(header.time.0 + 1)),
            Self::ForgedCertificate => match reply {
                Reply::LightBlock(mut block) => {
                    if let Some(signature) = block.certificate.signatures.last_mut() {
                        signature.0[3] ^= 1;
                    }
                    Reply::LightBlock(block)
                }
                reply => reply,
            },
            Self::OtherValidators => other_validators(reply, chain),
            Self::WithheldCoin => withheld(reply),
            Self::None
            | Self::StaleHead
            | Self::WithheldBlock
            | Self::HigherHeight
            | Self::FinalPayment
            | Self::SwallowedPayment
            | Self::RefusedPayment
            | Self::WrongAnswer
            | Self::Unknown
            | Self::Silent
            | Self::Slow
            | Self::Garbage => reply,
        }
    }
}

fn with_header(mut reply: Reply, change: impl FnOnce(&mut Header)) -> Reply {
    match &mut reply {
        Reply::Balances(answer) => change(&mut answer.opening.header),
        Reply::Coins(answer) => change(&mut answer.opening.header),
        Reply::Coin(opening, _) => change(&mut opening.header),
        Reply::Registry(answer) => change(&mut answer.opening.header),
        _ => {}
    }
    reply
}

fn flip(path: &mut [Hash]) {
    if let Some(hash) = path.first_mut() {
        hash.0[0] ^= 1;
    }
}

fn wrong_proof(mut reply: Reply) -> Reply {
    match &mut reply {
        Reply::Balances(answer) => answer.proofs.iter_mut().for_each(|proof| {
            proof.place = match &proof.place {
                OwnerPlace::Here(coins) => {
                    OwnerPlace::Here(Summary { sum: Amount(coins.sum.0.saturating_mul(2)), ..*coins })
                }
                OwnerPlace::Empty | OwnerPlace::Other { .. } => {
                    OwnerPlace::Here(Summary { hash: Hash([1; 32]), sum: Amount::from_time(1), count: 1 })
                }
            };
        }),
        Reply::Coins(answer) => {
            answer.proof.coins.iter_mut().take(1).for_each(|(outpoint, _)| outpoint.index += 1);
        }
        Reply::Coin(_, Some(proof)) => proof.output.amount = Amount(proof.output.amount.0 * 2),
        Reply::Registry(answer) => {
            let first = answer.registry.iter().next().map(|node| node.id);
            first.inspect(|id| answer.registry.remove(id));
        }
        Reply::History(past) => {
            past.header.time = Time(past.header.time.0 + 1);
            flip(&mut past.proof.path);
        }
        Reply::Transaction(located) => {
            if let timecoin_core::answer::Located::Final { left, path, .. } = &mut **located {
                *left = 0;
                path.push(Hash([1; 32]));
            }
        }
        Reply::Block(block) => {
            block.body.transactions.pop();
            block.body.parent_certificate = None;
        }
        Reply::Filters(list) => list.iter_mut().for_each(|(_, filter)| filter.0.push(0)),
        _ => {}
    }
    reply
}

fn other_validators(reply: Reply, chain: &ChainId) -> Reply {
    let Reply::LightBlock(mut block) = reply else { return reply };
    let keys: Vec<_> = OTHER_KEYS.map(key).collect();
    let members: Vec<_> = keys.iter().map(|key| (key.public_key(), 1_000_000)).collect();
    let set = validator_set(&members);
    block.header.validators_hash = set.hash();
    block.header.next_validators_hash = set.hash();
    block.certificate = certify(commit_data(&block.header), &set, &keys, chain);
    (block.validators, block.next_validators) = (Some(set), None);
    Reply::LightBlock(block)
}

fn withheld(mut reply: Reply) -> Reply {
    match &mut reply {
        Reply::Coins(answer) => _ = answer.proof.coins.pop(),
        Reply::Filters(list) => list.iter_mut().for_each(|(_, filter)| *filter = Filter::default()),
        _ => {}
    }
    reply
}
