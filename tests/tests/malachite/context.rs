//! What malachite wants to be told about a chain: numbers in place of keys, blocks and signatures.

use std::convert::Infallible;
use std::fmt;

use malachitebft_core_types::{
    Address, Context, Height, LinearTimeouts, NilOrVal, Proposal, ProposalPart, Round, SignedExtension,
    SigningScheme, Validator, ValidatorSet, Value, Vote, VoteType, VotingPower,
};
use timecoin_core::hash::{BlockId, Hash};

/// A block, by its number.
pub(crate) type Name = u64;

/// The same block as the core names it.
pub(crate) fn block(name: Name) -> BlockId {
    BlockId(Hash([name as u8; 32]))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain;

/// A validator, by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) u16);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct At(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block(pub(crate) Name);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proposed {
    pub(crate) round: Round,
    pub(crate) block: Block,
    pub(crate) valid: Round,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) kind: VoteType,
    pub(crate) round: Round,
    pub(crate) choice: NilOrVal<Name>,
    pub(crate) from: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    place: Place,
    weight: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Members(Vec<Member>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsigned;

pub(crate) const HEIGHT: At = At(1);
/// Who proposes is the test's to say.
const NOBODY: Place = Place(0);

impl Members {
    pub(crate) fn new(weights: impl IntoIterator<Item = u64>) -> Self {
        Self((0..).map(Place).zip(weights).map(|(place, weight)| Member { place, weight }).collect())
    }
}

impl Context for Chain {
    type Address = Place;
    type Height = At;
    type ProposalPart = Part;
    type Proposal = Proposed;
    type Validator = Member;
    type ValidatorSet = Members;
    type Timeouts = LinearTimeouts;
    type Value = Block;
    type Vote = Said;
    type Extension = ();
    type SigningScheme = Unsigned;

    fn select_proposer<'a>(&self, set: &'a Members, _: At, _: Round) -> &'a Member {
        &set.0[0]
    }

    fn new_proposal(&self, _: At, round: Round, block: Block, valid: Round, _: Place) -> Proposed {
        Proposed { round, block, valid }
    }

    fn new_prevote(&self, _: At, round: Round, choice: NilOrVal<Name>, from: Place) -> Said {
        Said { kind: VoteType::Prevote, round, choice, from }
    }

    fn new_precommit(&self, _: At, round: Round, choice: NilOrVal<Name>, from: Place) -> Said {
        Said { kind: VoteType::Precommit, round, choice, from }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Address for Place {}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Height for At {
    const ZERO: Self = Self(0);
    const INITIAL: Self = HEIGHT;

    fn increment_by(&self, more: u64) -> Self {
        Self(self.0 + more)
    }

    fn decrement_by(&self, less: u64) -> Option<Self> {
        self.0.checked_sub(less).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

impl Value for Block {
    type Id = Name;

    fn id(&self) -> Name {
        self.0
    }
}

impl ProposalPart<Chain> for Part {
    fn is_first(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        true
    }
}

impl Proposal<Chain> for Proposed {
    fn height(&self) -> At {
        HEIGHT
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Block {
        &self.block
    }

    fn take_value(self) -> Block {
        self.block
    }

    fn pol_round(&self) -> Round {
        self.valid
    }

    fn validator_address(&self) -> &Place {
        &NOBODY
    }
}

impl Vote<Chain> for Said {
    fn height(&self) -> At {
        HEIGHT
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<Name> {
        &self.choice
    }

    fn take_value(self) -> NilOrVal<Name> {
        self.choice
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Place {
        &self.from
    }

    fn extension(&self) -> Option<&SignedExtension<Chain>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Chain>> {
        None
    }

    fn extend(self, _: SignedExtension<Chain>) -> Self {
        self
    }
}

impl Validator<Chain> for Member {
    fn address(&self) -> &Place {
        &self.place
    }

    fn public_key(&self) -> &() {
        &()
    }

    fn voting_power(&self) -> VotingPower {
        self.weight
    }
}

impl ValidatorSet<Chain> for Members {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.0.iter().map(|member| member.weight).sum()
    }

    fn get_by_address(&self, place: &Place) -> Option<&Member> {
        self.0.get(usize::from(place.0))
    }

    fn get_by_index(&self, index: usize) -> Option<&Member> {
        self.0.get(index)
    }
}

impl SigningScheme for Unsigned {
    type DecodingError = Infallible;
    type Signature = ();
    type PublicKey = ();
    type PrivateKey = ();

    fn decode_signature(_: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }

    fn encode_signature(&(): &()) -> Vec<u8> {
        Vec::new()
    }

    fn decode_public_key(_: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }

    fn encode_public_key(&(): &()) -> Vec<u8> {
        Vec::new()
    }
}
