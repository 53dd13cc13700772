//! Moving trust to newer blocks, and whether a header is the chain's.

use super::error::Fault;
use super::trust::{Trust, trusted};
use super::{ClientError, ClientResult, HEADERS_MAX, Lie, LightClient, Source};
use crate::answer::{Question, Reply};
use crate::block::Header;
use crate::codec::encode;
use crate::light::{Bisection, CheckedBlock, LightBlock, Progress, Trusted, Verdict, compare, verify};
use crate::merkle::Blake;
use crate::receipt::PastBlock;
use crate::store::Store;
use crate::validators::ValidatorSet;
use crate::vote::Height;

/// Answers under a block further below the head than this are stale.
const LAG_MAX: u64 = 8;

impl<S: Source, D: Store> LightClient<S, D> {
    /// A peer says that it has this block: verifies it, and makes it the head if it is newer. Returns whether the head
    /// moved. A peer that cannot show what it claims is reported, and nothing is believed.
    pub async fn follow(&self, peer: &S::Peer, height: Height) -> ClientResult<bool, D> {
        if height <= self.height() {
            return Ok(false);
        }
        match self.advance(peer, height).await {
            Ok(()) => Ok(true),
            Err(Fault::Own(error)) => Err(error),
            Err(Fault::Nothing(nothing)) => {
                self.report(peer, Lie::Withheld, Some(height), nothing.to_string(), Vec::new());
                Ok(false)
            }
            Err(Fault::Lie(..) | Fault::Reported | Fault::Unanswered) => Ok(false),
        }
    }

    /// Bisects to a height with blocks of one peer. Lies are reported where they are found.
    pub(super) async fn advance(&self, peer: &S::Peer, target: Height) -> Result<(), Fault<D::Error>> {
        let advanced = self.bisect(peer, target).await;
        self.reached.set(None);
        self.adopt(advanced?).await.map_err(Fault::Own)
    }

    /// The verified blocks that lead to a height.
    async fn bisect(&self, peer: &S::Peer, target: Height) -> Result<Vec<LightBlock>, Fault<D::Error>> {
        let start = self.trust.borrow().head();
        let mut bisection = Bisection::new(start, target, self.options.clone());
        loop {
            match bisection.progress() {
                Progress::Done => return Ok(bisection.into_parts().1),
                Progress::Failed(error) => return Err(error.into()),
                Progress::Need(height) => {
                    // The set trusted so far mostly is the one that signed.
                    let known = bisection.trusted().next_validators.clone();
                    let checked = bisection.certificates_checked();
                    let fed = self.light_block(peer, height, known, &mut bisection).await;
                    let newly = bisection.certificates_checked() - checked;
                    self.certificates_checked.set(self.certificates_checked.get() + newly);
                    fed?;
                    self.reached.set(Some(bisection.trusted().height));
                }
            }
        }
    }

    async fn light_block(
        &self,
        peer: &S::Peer,
        height: Height,
        known: ValidatorSet,
        bisection: &mut Bisection,
    ) -> Result<(), Fault<D::Error>> {
        let block = self.fetch_block(peer, height, &known).await?;
        let shown = encode(&block);
        if let Progress::Failed(error) = bisection.feed(block, self.source.now()) {
            let fault = Fault::from(error);
            if let Fault::Lie(lie, _, detail) = fault {
                self.report(peer, lie, Some(height), detail, shown);
                return Err(Fault::Reported);
            }
            return Err(fault);
        }
        Ok(())
    }

    /// A light block as a peer gives it: nothing of it is verified.
    async fn fetch_block(
        &self,
        peer: &S::Peer,
        height: Height,
        known: &ValidatorSet,
    ) -> Result<LightBlock, Fault<D::Error>> {
        let question = Question::LightBlock { height, known: Some(known.hash()) };
        let put_together = async |_: &S::Peer, reply: &Reply| match reply {
            Reply::LightBlock(sparse) => {
                sparse.as_ref().clone().with(Some(known)).ok_or_else(Fault::other_answer)
            }
            _ => Err(Fault::other_answer()),
        };
        self.ask_one(peer, &question, &put_together).await
    }

    /// Takes verified blocks over and stores them.
    async fn adopt(&self, blocks: Vec<LightBlock>) -> ClientResult<(), D> {
        if let Some(height) = self.fork.get() {
            return Err(ClientError::Fork(height));
        }
        let batch = {
            let mut trust = self.trust.borrow_mut();
            let before: Trust = trust.clone();
            trust.extend(blocks, &self.options, self.source.now());
            if before.height() == trust.height() {
                return Ok(());
            }
            trust.write(self.stored.replace(true).then_some(&before))
        };
        if let Some(header) = self.trust.borrow().header() {
            self.remember(header.clone());
        }
        let failed = self.store.commit(&batch).await.err();
        if failed.is_some() {
            // The next write is a whole one.
            self.stored.set(false);
        }
        self.unstored.replace(failed);
        Ok(())
    }

    fn remember(&self, header: Header) {
        let mut headers = self.headers.borrow_mut();
        headers.insert(header.height, header);
        while headers.len() > HEADERS_MAX {
            headers.pop_first();
        }
    }

    /// The chain's header at a height up to the head, proved by the head's history.
    pub async fn header(&self, height: Height) -> ClientResult<Header, D> {
        if let Some(known) = self.headers.borrow().get(&height) {
            return Ok(known.clone());
        }
        let head = self.head_header().await?;
        if height == head.height {
            return Ok(head);
        }
        if height > head.height {
            return Err(ClientError::Future { height, head: head.height });
        }
        let header = self.past(height, &head).await?.header;
        self.remember(header.clone());
        Ok(header)
    }

    /// The head's header. Of a checkpoint only the id is known: somebody has to be asked once.
    pub(super) async fn head_header(&self) -> ClientResult<Header, D> {
        if let Some(header) = self.trust.borrow().header() {
            return Ok(header.clone());
        }
        let Trusted { height, id, next_validators, .. } = self.trusted();
        let question = Question::LightBlock { height, known: Some(next_validators.hash()) };
        let header = self.ask(&question, async |_, reply| match reply {
            Reply::LightBlock(block) if block.header.id() == id => Ok(block.header.clone()),
            Reply::LightBlock(_) => Err(Fault::proof(height, &"another block")),
            _ => Err(Fault::other_answer()),
        });
        let header = header.await?;
        let mut trust = self.trust.borrow_mut();
        if trust.anchor.id == id {
            trust.anchor_header = Some(header.clone());
        }
        Ok(header)
    }

    /// The header at a height below a verified one, with the proof from that one's history.
    pub(super) async fn past(&self, height: Height, newer: &Header) -> ClientResult<PastBlock, D> {
        let question = Question::History { height, at: newer.height };
        self.ask(&question, async |_, reply| {
            let Reply::History(past) = reply else { return Err(Fault::other_answer()) };
            let PastBlock { header, proof } = past.as_ref();
            if (proof.index, proof.size, header.height) != (height.0, newer.height.0, height) {
                return Err(Fault::proof(height, &"another place of the history"));
            }
            let proved = proof.verify::<Blake>(&newer.history_root, &header.history_leaf());
            proved.map(|()| past.as_ref().clone()).map_err(|error| Fault::proof(height, &error))
        })
        .await
    }

    /// Whether a header that a peer answers under is the chain's. A newer one becomes the head.
    pub(super) async fn certify(&self, peer: &S::Peer, header: &Header) -> Result<(), Fault<D::Error>> {
        let height = header.height;
        let head = self.height();
        if height.0.saturating_add(LAG_MAX) < head.0 {
            let detail = format!("answers under block {height} where {head} is final");
            return Err(Fault::Lie(Lie::StaleHead, Some(height), detail));
        }
        if height > head {
            self.advance(peer, height).await?;
        }
        let head = self.trusted();
        let certified = if height == head.height { head.id } else { self.header(height).await?.id() };
        if header.id() == certified {
            self.remember(header.clone());
            return Ok(());
        }
        self.conflict(peer, height).await?;
        let detail = format!("block {} where {certified} is certified", header.id());
        Err(Fault::Lie(Lie::WrongHead, Some(height), detail))
    }

    /// A peer answers under another block than ours: either it lies, or two conflicting blocks are certified. In that case
    /// nothing is believed any more.
    async fn conflict(&self, peer: &S::Peer, height: Height) -> Result<(), Fault<D::Error>> {
        let (common, ours) = {
            let trust = self.trust.borrow();
            let Some((ours, before)) = trust.trace.split_last() else { return Ok(()) };
            (before.last().map_or_else(|| trust.anchor.clone(), trusted), ours.clone())
        };
        if ours.header.height != height {
            return Ok(());
        }
        let Ok(theirs) = self.fetch_block(peer, height, &ours.validators).await else { return Ok(()) };
        let now = self.source.now();
        if !matches!(verify(&common, &theirs, &self.options, now), Verdict::Success(_)) {
            return Ok(());
        }
        let proof = encode(&(&ours, &theirs));
        let checked = |block: LightBlock| -> Result<CheckedBlock, _> { block.into_checked(&self.options) };
        let (Ok(ours), Ok(theirs)) = (checked(ours), checked(theirs)) else { return Ok(()) };
        let Some(attack) = compare(&common, &ours, &theirs) else { return Ok(()) };
        self.fork.set(Some(height));
        let detail = format!("{:?}: {} culprits", attack.kind, attack.culprits.len());
        self.report(peer, Lie::Fork(attack.kind), Some(height), detail, proof);
        Err(Fault::Own(ClientError::Fork(height)))
    }

    /// A certified header of the chain with its certificate and sets, every signature verified.
    pub async fn certified(&self, height: Height) -> ClientResult<LightBlock, D> {
        let header = self.header(height).await?;
        let set = self.trust.borrow().next_validators().clone();
        let question = Question::LightBlock { height, known: Some(set.hash()) };
        self.ask(&question, async |_, reply| {
            let Reply::LightBlock(sparse) = reply else { return Err(Fault::other_answer()) };
            let block = sparse.as_ref().clone().with(Some(&set)).ok_or_else(Fault::other_answer)?;
            if block.header != header {
                return Err(Fault::proof(height, &"another block"));
            }
            self.certificates_checked.set(self.certificates_checked.get() + 1);
            Ok(block.into_checked(&self.options)?.into_block())
        })
        .await
    }
}
