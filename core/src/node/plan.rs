//! Plan: everything about an event that can be checked without the node: form, limits, membership,
//! signatures. It runs beside the node, on any thread, against an immutable snapshot.
//!
//! A message of a height whose set is not known for certain is not an offence; it is only a hint that the
//! sender is elsewhere, and comes out as such.

use std::sync::Arc;

use crate::answer::Question;
use crate::block::Block;
use crate::evidence::Evidence;
use crate::keys::{SignedBytes, invalid_signatures};
use crate::message::{Message, Proposal};
use crate::peer::handshake::PeerId;
use crate::peer::score::Offence;
use crate::state::{BlockError, VerifiedBlock, VerifiedCertificate, VerifiedEvidence};
use crate::sync::{check, check_status};
use crate::transaction::{SIGNED_SIZE_MIN, SignedTransaction, TransactionLimits, VerifiedTransaction};
use crate::vote::{Height, Phase, Vote};

use super::event::{CheckedProposal, Event, Job, PlanContext};
use super::gate::open;

/// Checks an event. An offence names what its sender did wrong; `None` means that there is nothing to do.
pub fn plan(context: &PlanContext, event: Event) -> Result<Option<Job>, (PeerId, Offence)> {
    match event {
        Event::Connected(info) => Ok(Some(Job::Connected(info))),
        Event::Disconnected(peer) => Ok(Some(Job::Disconnected(peer))),
        Event::Dialled(dial, peer) => Ok(Some(Job::Dialled(dial, peer))),
        Event::Tick => Ok(Some(Job::Tick)),
        Event::OverrideQuarantine(height) => Ok(Some(Job::OverrideQuarantine(height))),
        Event::Submit(ticket, signed) => {
            let verified = VerifiedTransaction::verify(signed, &context.chain.id, &limits(context));
            Ok(Some(Job::Submit(ticket, verified.map(Arc::new))))
        }
        Event::Frame(..) => plan(context, open(event)?),
        Event::Message(peer, message, _) => {
            plan_message(context, peer, message).map_err(|offence| (peer, offence))
        }
    }
}

fn limits(context: &PlanContext) -> TransactionLimits {
    context.chain.spec.consensus.rules(context.height.next()).transaction_limits()
}

pub(super) fn plan_message(
    context: &PlanContext,
    peer: PeerId,
    message: Message,
) -> Result<Option<Job>, Offence> {
    let job = match message {
        Message::Transactions(list) => Job::Transactions(peer, verify_transactions(context, list)?),
        Message::Parts { block, transactions } => {
            Job::Parts(peer, block, verify_transactions(context, transactions)?)
        }
        Message::Votes(votes) => {
            let votes = verify_votes(context, votes)?;
            if votes.is_empty() {
                return Ok(None);
            }
            Job::Votes(peer, votes)
        }
        Message::Certificate(certificate) => {
            let Some(set) = context.set_of(certificate.data.height) else { return Ok(None) };
            let verified = VerifiedCertificate::verify(certificate, set, &context.chain.id);
            Job::Certificate(peer, verified.map_err(|_| Offence::InvalidCertificate)?)
        }
        // The sender decided our open height already: its next proposal waits until we have, too.
        Message::Proposal(proposal) if proposal.header.height == context.height.next().next() => {
            Job::Early(peer, proposal)
        }
        Message::Proposal(proposal) => {
            let Some(checked) = check_proposal(context, *proposal)? else { return Ok(None) };
            Job::Proposal(peer, Box::new(checked))
        }
        Message::Evidence(evidence) => {
            let Some(verified) = verify_evidence(context, evidence)? else { return Ok(None) };
            Job::Evidence(peer, verified)
        }
        Message::Block(block) => {
            let id = block.header.id();
            if block.header.parent != context.tip {
                return Ok(None);
            }
            // The id asked for is the header's alone.
            if !block.body.is_committed_by(&block.header) {
                return Err(Offence::InvalidBlock);
            }
            Job::Block(Some(peer), id, verify_block(context, *block).map(Box::new))
        }
        Message::Status(status) => {
            let checked = check_status(&status, &context.anchor, &context.chain.id);
            let checked = checked.map_err(|_| Offence::InvalidCertificate)?;
            let open = status.certificate.filter(|_| status.height == context.height.next());
            let set = &context.validators;
            let verified = open.and_then(|certificate| {
                VerifiedCertificate::verify(certificate, set, &context.chain.id).ok()
            });
            Job::Status(peer, status.height, checked, verified)
        }
        Message::Response(id, response) => {
            Job::Response(peer, id, check(response, &context.anchor, &context.chain.id))
        }
        Message::Peers(records) => {
            let verified = records.into_iter().map(|record| record.verify(&context.chain.id));
            let verified: Result<Vec<_>, _> = verified.collect();
            Job::Peers(peer, verified.map_err(|_| Offence::InvalidRecord)?)
        }
        Message::Ask(id, Question::Submit(signed)) => {
            let verified = VerifiedTransaction::verify(*signed, &context.chain.id, &limits(context));
            Job::Submitted(peer, id, verified.map(Arc::new))
        }
        // A full node asks no such questions.
        Message::Answer(..) | Message::Phases(_) => return Err(Offence::UnrequestedResponse),
        message @ (Message::Ping(_)
        | Message::Pong(_)
        | Message::Have(_)
        | Message::Want(_)
        | Message::WantParts { .. }
        | Message::WantBlock(_)
        | Message::Query(..)
        | Message::Busy { .. }
        | Message::Ask(..)
        | Message::WantPeers) => Job::Message(peer, message),
    };
    Ok(Some(job))
}

fn verify_transactions(
    context: &PlanContext,
    list: Vec<SignedTransaction>,
) -> Result<Vec<Arc<VerifiedTransaction>>, Offence> {
    let verified = VerifiedTransaction::verify_all(list, &context.chain.id, &limits(context));
    Ok(verified.map_err(|_| Offence::InvalidTransaction)?.into_iter().map(Arc::new).collect())
}

/// Votes of heights whose set is known; the others are dropped without a look.
fn verify_votes(context: &PlanContext, votes: Vec<Vote>) -> Result<Vec<Vote>, Offence> {
    let mut known = Vec::with_capacity(votes.len());
    let mut signatures = Vec::with_capacity(votes.len());
    for vote in votes {
        if vote.data.height < context.height {
            continue;
        }
        let Some(set) = context.set_of(vote.data.height) else { continue };
        let member = set.validator(vote.validator).ok_or(Offence::InvalidSignature)?;
        if !vote.data.is_well_formed() {
            return Err(Offence::MalformedFrame);
        }
        signatures.push(vote.signed_bytes(&context.chain.id, &member.key));
        known.push(vote);
    }
    if invalid_signatures(&signatures).is_empty() { Ok(known) } else { Err(Offence::InvalidSignature) }
}

fn verify_evidence(context: &PlanContext, evidence: Evidence) -> Result<Option<VerifiedEvidence>, Offence> {
    let Some(set) = context.set_of(evidence.first.data.height) else { return Ok(None) };
    VerifiedEvidence::verify(evidence, set, &context.chain.id).map(Some).map_err(|_| Offence::InvalidEvidence)
}

/// A proposal for the next height; of another height it is dropped.
fn check_proposal(context: &PlanContext, proposal: Proposal) -> Result<Option<CheckedProposal>, Offence> {
    let (data, header) = (&proposal.vote.data, &proposal.header);
    if data.height != context.height.next() || header.parent != context.tip {
        return Ok(None);
    }
    let set = &context.validators;
    let member = set.validator(proposal.vote.validator).ok_or(Offence::InvalidSignature)?;
    // More ids than the smallest transactions would fill a block with name no block.
    let size_max = context.chain.spec.consensus.rules(header.height).block_size_max;
    let ids_max = size_max as usize / SIGNED_SIZE_MIN;
    let is_one_block = data.phase == Phase::PrePrepare
        && data.block == Some(header.id())
        && header.height == data.height
        && proposal.transactions.len() <= ids_max
        && data.is_well_formed();
    if !is_one_block {
        return Err(Offence::MalformedFrame);
    }
    let SignedBytes { key, message, signature } = proposal.vote.signed_bytes(&context.chain.id, &member.key);
    if !crate::keys::verify(&key, &message, &signature) {
        return Err(Offence::InvalidSignature);
    }
    if let Some(certificate) = &proposal.prepare_certificate {
        let proves = certificate.data.phase == Phase::Prepare
            && certificate.data.height == data.height
            && certificate.data.block == data.block
            && Some(certificate.data.view) == data.valid_view;
        if !proves || certificate.verify(set, &context.chain.id).is_err() {
            return Err(Offence::InvalidCertificate);
        }
    }
    let parent_certificate = proposal
        .parent_certificate
        .clone()
        .map(|certificate| VerifiedCertificate::verify(certificate, &context.signers, &context.chain.id))
        .transpose()
        .map_err(|_| Offence::InvalidCertificate)?;
    let evidence: Result<Option<Vec<_>>, _> =
        proposal.evidence.iter().map(|evidence| verify_evidence(context, *evidence)).collect();
    // Evidence of a height beyond the evidence age makes the block invalid, whoever relays it.
    let Some(evidence) = evidence? else { return Err(Offence::InvalidBlock) };
    Ok(Some(CheckedProposal { proposal, evidence, parent_certificate }))
}

/// Checks every signature in a block that claims to follow the tip.
pub fn verify_block(context: &PlanContext, block: Block) -> Result<VerifiedBlock, BlockError> {
    let set_of = |height: Height| context.set_of(height).cloned();
    let spec = &context.chain.spec.consensus;
    VerifiedBlock::verify(block, spec, &context.chain.id, &context.signers, set_of, |_| None)
}
