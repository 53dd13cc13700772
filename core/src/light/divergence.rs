//! Two certified blocks at one height: what was done, and by whom.
//!
//! Either more than a third of the weight is guilty, or one side is made up by more than a third of an old set.
//! A client that sees this stops and shows both; [`compare`] says what each side proves about the other.

use super::{CheckedBlock, Trusted};
use crate::block::Header;
use crate::keys::PublicKey;

/// How a light client was attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttackKind {
    /// The header holds values that no validator computes from the common block.
    Lunatic,
    /// Validators committed two blocks in one view.
    Equivocation,
    /// Validators committed another block in a later view. Commits alone do not tell the guilty from those who
    /// followed a false prepare quorum: that takes the prepare votes.
    Amnesia,
}

/// Two certified blocks at one height, as evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightAttack {
    /// What was done.
    pub kind: AttackKind,
    /// Operator keys of those who provably did it, ascending; none for amnesia.
    pub culprits: Vec<PublicKey>,
    /// Whether both blocks follow the common block directly. Where they do not, validators who were misled by a
    /// fork in between can be among the culprits: find the first height that differs before punishing anyone.
    pub conclusive: bool,
}

/// What `conflicting` proves against its signers, given that `accepted` is the chain's block at that height and
/// `common` a block both sides agree on, below it. `None` where there is no conflict.
///
/// Not symmetric: who does not know which side is the chain's compares both ways.
#[must_use]
pub fn compare(common: &Trusted, accepted: &CheckedBlock, conflicting: &CheckedBlock) -> Option<LightAttack> {
    let (one, two) = (&accepted.block().header, &conflicting.block().header);
    if accepted.id() == conflicting.id() || one.height != two.height || one.height <= common.height {
        return None;
    }
    let signers = conflicting.commit().signers();
    let conclusive = one.height == common.height.next() && one.parent == common.id && two.parent == common.id;
    let (kind, culprits) = if is_lunatic(one, two) {
        let common_set = common.next_validators.iter().map(|(_, member)| member.key);
        (AttackKind::Lunatic, common_set.filter(|key| signers.contains(key)).collect())
    } else if accepted.block().certificate.data.view == conflicting.block().certificate.data.view {
        (AttackKind::Equivocation, accepted.commit().signers().intersection(&signers).copied().collect())
    } else {
        (AttackKind::Amnesia, Vec::new())
    };
    let mut culprits: Vec<PublicKey> = culprits;
    culprits.sort_unstable();
    Some(LightAttack { kind, culprits, conclusive })
}

/// Whether `conflicting` differs in what the chain below fixes: the signing set, and, where both have one
/// parent, the history and that the parent is committed.
fn is_lunatic(accepted: &Header, conflicting: &Header) -> bool {
    accepted.validators_hash != conflicting.validators_hash
        || accepted.version != conflicting.version
        || (accepted.parent == conflicting.parent && accepted.history_root != conflicting.history_root)
}
