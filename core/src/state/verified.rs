//! Blocks and their parts once every signature has been checked: the types say so, and nothing weaker can be
//! passed to the rules.

use std::sync::Arc;

use crate::block::{Block, Header};
use crate::certificate::{Certificate, CertificateError};
use crate::codec::encoded_size;
use crate::evidence::{Evidence, EvidenceError};
use crate::hash::{ChainId, Hash};
use crate::keys::PublicKey;
use crate::spec::ConsensusSpec;
use crate::time::Time;
use crate::transaction::{Action, SignedTransaction, VerifiedTransaction};
use crate::validators::{Validator, ValidatorSet};
use crate::vote::{Height, ViewNumber};

use super::apply::check_size;
use super::error::BlockError;

/// A certificate whose signatures have been checked against a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCertificate {
    pub(super) certificate: Certificate,
    pub(super) set: Hash,
}

impl VerifiedCertificate {
    /// Checks everything against `set`.
    pub fn verify(
        certificate: Certificate,
        set: &ValidatorSet,
        chain: &ChainId,
    ) -> Result<Self, CertificateError> {
        certificate.verify(set, chain)?;
        Ok(Self { certificate, set: set.hash() })
    }

    /// A certificate assembled from votes that were each checked against `set`.
    #[must_use]
    pub fn from_checked_votes(certificate: Certificate, set: &ValidatorSet) -> Self {
        Self { certificate, set: set.hash() }
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Hash of the set it was checked against.
    #[must_use]
    pub fn set(&self) -> Hash {
        self.set
    }
}

/// Evidence whose signatures have been checked against a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedEvidence {
    evidence: Evidence,
    culprit: Validator,
    set: Hash,
}

impl VerifiedEvidence {
    /// Checks everything against `set`.
    pub fn verify(evidence: Evidence, set: &ValidatorSet, chain: &ChainId) -> Result<Self, EvidenceError> {
        let culprit = *evidence.verify(set, chain)?;
        Ok(Self { evidence, culprit, set: set.hash() })
    }

    /// The evidence.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Who is proved guilty.
    #[must_use]
    pub fn culprit(&self) -> &Validator {
        &self.culprit
    }

    /// Hash of the set it was checked against.
    #[must_use]
    pub fn set(&self) -> Hash {
        self.set
    }
}

/// Everything a proposer is free to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The view of the first proposal.
    pub view: ViewNumber,
    /// The proposer's clock.
    pub time: Time,
    /// The proposer's operator key.
    pub proposer: PublicKey,
    /// Payments and masternode actions, in order; the reward transaction is not among them.
    pub transactions: Vec<Arc<VerifiedTransaction>>,
    /// Equivocation to punish.
    pub evidence: Vec<VerifiedEvidence>,
    /// The parent's commit certificate; none only after genesis.
    pub parent_certificate: Option<VerifiedCertificate>,
}

/// A block all of whose signatures have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBlock {
    pub(super) header: Header,
    pub(super) draft: Draft,
}

impl VerifiedBlock {
    /// Checks every signature in a block: its transactions' in one batch, the parent's certificate against the
    /// set that signs the parent, evidence against the sets that `set_of` finds by height. Transactions that
    /// `known` returns were checked before.
    pub fn verify(
        block: Block,
        spec: &ConsensusSpec,
        chain: &ChainId,
        parent_set: &ValidatorSet,
        set_of: impl Fn(Height) -> Option<Arc<ValidatorSet>>,
        known: impl Fn(&SignedTransaction) -> Option<Arc<VerifiedTransaction>>,
    ) -> Result<Self, BlockError> {
        let Block { header, body } = block;
        let rules = spec.rules(header.height);
        let mut transactions = body.transactions;
        // The reward is derived, and the transactions root commits to it: the one received is not needed.
        let is_reward =
            |signed: &SignedTransaction| matches!(signed.transaction.action, Action::Reward { .. });
        let offset = usize::from(transactions.first().is_some_and(is_reward));
        transactions.drain(..offset);
        check_size(transactions.iter().map(encoded_size), rules)?;
        let known: Vec<_> = transactions.iter().map(known).collect();
        let unknown = transactions.into_iter().zip(&known).filter(|(_, known)| known.is_none());
        let fresh = VerifiedTransaction::verify_all(
            unknown.map(|(signed, _)| signed).collect(),
            chain,
            &rules.transaction_limits(),
        )
        .map_err(|(index, error)| BlockError::Transaction { index: index + offset, error })?;
        let mut fresh = fresh.into_iter().map(Arc::new);
        let transactions = known.into_iter().filter_map(|known| known.or_else(|| fresh.next())).collect();
        let evidence = body.evidence.into_iter().map(|evidence| {
            let height = evidence.first.data.height;
            let set = set_of(height).ok_or(BlockError::EvidenceSet(height))?;
            Ok(VerifiedEvidence::verify(evidence, &set, chain)?)
        });
        let evidence = evidence.collect::<Result<_, BlockError>>()?;
        let parent_certificate = body
            .parent_certificate
            .map(|certificate| VerifiedCertificate::verify(certificate, parent_set, chain))
            .transpose()?;
        Ok(Self::new(header, transactions, evidence, parent_certificate))
    }

    /// A block from parts that were checked one by one.
    #[must_use]
    pub fn new(
        header: Header,
        transactions: Vec<Arc<VerifiedTransaction>>,
        evidence: Vec<VerifiedEvidence>,
        parent_certificate: Option<VerifiedCertificate>,
    ) -> Self {
        let Header { view, time, proposer, .. } = header;
        let draft = Draft { view, time, proposer, transactions, evidence, parent_certificate };
        Self { header, draft }
    }

    /// The header, not yet compared with what follows from the parent.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The draft it claims to follow from.
    #[must_use]
    pub fn draft(&self) -> &Draft {
        &self.draft
    }
}
