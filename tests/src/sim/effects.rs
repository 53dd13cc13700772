//! What machines do to the world: frames they send, sessions they end, news they have.

use timecoin_core::codec::decode;
use timecoin_core::message::Message;
use timecoin_core::node::{Effect, Event, Notice, Parting, Ticket};
use timecoin_core::peer::handshake::PeerId;
use timecoin_core::state::ChainState;
use timecoin_core::transaction::SignedTransaction;
use timecoin_core::vote::{Vote, VoteData};

use super::failure::Failure;
use super::network::{Frame, pair};
use super::world::{Occurrence, World};

impl World {
    pub(super) fn perform(&mut self, machine: usize, effects: Vec<Effect>) -> Result<(), Failure> {
        let mut newest = None;
        for effect in effects {
            match effect {
                Effect::Send(peers, frame) => {
                    self.log(machine, || self.describe_frame(&peers, &frame));
                    self.checks.spoken(machine, &frame)?;
                    for peer in peers {
                        self.transmit(machine, &peer, frame.clone());
                    }
                }
                Effect::Serve(peer, question) => {
                    if let Some(frame) = self.machines[machine].served(question) {
                        self.transmit(machine, &peer, frame);
                    }
                }
                Effect::Close(peer, Parting::Silent | Parting::Faults) => {
                    let link = self.peers.get(&peer).map(|other| pair(machine, *other));
                    if let Some(link) = link.filter(|link| self.network.session(*link).is_some()) {
                        self.hang_up(link);
                    }
                }
                // All are honest: nothing can be proved against any of them.
                Effect::Offence(peer, offence) if offence.is_proved() => {
                    return Err(self.accused(machine, peer, offence.to_string()));
                }
                Effect::Offence(peer, offence) => {
                    let effects = self.machines[machine].report(peer, offence, self.now);
                    self.perform(machine, effects)?;
                }
                Effect::Close(peer, banned @ Parting::Banned { .. }) => {
                    return Err(self.accused(machine, peer, banned.to_string()));
                }
                Effect::Dial(dial) => unreachable!("machines are dialled by the world, not {}", dial.url),
                Effect::Notice(notice) => self.noticed(machine, notice, newest.as_deref())?,
                Effect::State(state) => newest = Some(state),
                Effect::Lack(lack) => unreachable!("every machine has its state: {lack:?}"),
                // The machine has taken it over.
                Effect::Context(_) => {}
                Effect::Halt => return Err(Failure::Halted { machine, reason: String::from("see notices") }),
            }
        }
        Ok(())
    }

    fn accused(&self, machine: usize, peer: PeerId, offence: String) -> Failure {
        Failure::Accused { machine, peer: self.peers.get(&peer).copied(), offence }
    }

    fn transmit(&mut self, from: usize, peer: &PeerId, frame: Frame) {
        let Some(to) = self.peers.get(peer).copied() else { return };
        let link = pair(from, to);
        let Some(session) = self.network.session(link) else { return };
        let passage = self.network.send(&mut self.rng, self.now, from, to, frame);
        for (arrival, frame) in passage.arrivals {
            self.after(arrival - self.now, Occurrence::Deliver { to, from, session, frame });
        }
        if passage.damaged {
            let delay = self.rng.between((200, 5000));
            self.after(delay, Occurrence::Break(link, session));
        }
    }

    fn noticed(
        &mut self,
        machine: usize,
        notice: Notice,
        newest: Option<&ChainState>,
    ) -> Result<(), Failure> {
        self.log(machine, || describe(&notice));
        match notice {
            Notice::Finalized { block, certificate, .. } => {
                let state = newest.expect("a node shows the new state before it reports the block");
                self.checks.finalized(machine, &block, certificate.data.view, state)?;
                if self.voting_key(machine, state).is_some() {
                    let delay = self.rng.below(500);
                    self.after(delay, Occurrence::Rekey(machine));
                }
                Ok(())
            }
            Notice::Accepted(ticket, _) => match self.invalid.remove(&ticket) {
                Some(what) => Err(Failure::AcceptedInvalid { machine, what }),
                None => Ok(()),
            },
            Notice::Refused(ticket, _) => {
                self.invalid.remove(&ticket);
                Ok(())
            }
            Notice::Evidence(evidence) => {
                Err(Failure::Accused { machine, peer: None, offence: format!("equivocation: {evidence:?}") })
            }
            notice @ (Notice::Fork { .. } | Notice::InvalidDecision { .. }) => {
                Err(Failure::Halted { machine, reason: format!("{notice:?}") })
            }
            Notice::Offence(peer, offence) => Err(self.accused(machine, peer, offence.to_string())),
            Notice::Parted(..)
            | Notice::Phase(..)
            | Notice::Dropped(_)
            | Notice::Signed(..)
            | Notice::Quarantine(_) => Ok(()),
        }
    }

    pub(super) fn submit(
        &mut self,
        machine: usize,
        signed: SignedTransaction,
        invalid: Option<&'static str>,
    ) -> Result<(), Failure> {
        self.submitted += 1;
        let ticket = Ticket(self.submitted);
        if let Some(why) = invalid {
            self.invalid.insert(ticket, why);
        }
        self.happen(machine, Event::Submit(ticket, signed))
    }

    fn describe_frame(&self, peers: &[PeerId], frame: &[u8]) -> String {
        let to: Vec<_> = peers.iter().filter_map(|peer| self.peers.get(peer)).collect();
        let what = match decode::<Message>(frame) {
            Ok(Message::Votes(votes)) => votes.iter().map(describe_vote).collect(),
            Ok(Message::Proposal(proposal)) => format!("proposal {}", describe_vote(&proposal.vote)),
            Ok(Message::Certificate(certificate)) => {
                format!("certificate {}", describe_data(&certificate.data))
            }
            Ok(Message::Block(block)) => format!("block {} {}", block.header.height, block.header.id()),
            Ok(Message::Transactions(list)) => format!("{} transactions", list.len()),
            Ok(Message::Have(list)) => format!("have {}", list.len()),
            Ok(Message::Want(list)) => format!("want {}", list.len()),
            Ok(Message::Parts { block, transactions }) => format!("{} parts of {block}", transactions.len()),
            Ok(message) => format!("{message:?}"),
            Err(error) => error.to_string(),
        };
        format!("to {to:?}: {what}")
    }
}

fn describe_vote(vote: &Vote) -> String {
    format!("({} {})", vote.validator, describe_data(&vote.data))
}

fn describe_data(data: &VoteData) -> String {
    let block = data.block.map_or_else(|| String::from("nil"), |block| block.to_string()[..6].to_owned());
    format!("{:?} {}/{} {block}", data.phase, data.height, data.view)
}

fn describe(notice: &Notice) -> String {
    match notice {
        Notice::Finalized { certificate, .. } => format!("final: {}", describe_data(&certificate.data)),
        notice => format!("{notice:?}"),
    }
}
