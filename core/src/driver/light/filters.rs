//! Headers and filters for private scanning: no peer learns which addresses are looked for.

use super::error::Fault;
use super::{ClientError, ClientResult, LightClient, Source};
use crate::answer::{FILTERS_MAX, Question, Reply};
use crate::block::Header;
use crate::filter::Filter;
use crate::store::Store;
use crate::vote::Height;

impl<S: Source, D: Store> LightClient<S, D> {
    /// Headers from a height on with their filters, up to the head: each the chain's, without a gap. At least one.
    ///
    /// The last is proved by the head's history, the others by the hash of each in the next, the filters by the headers: so
    /// whoever leaves something out is known at once.
    pub async fn filters(&self, from: Height) -> ClientResult<Vec<(Header, Filter)>, D> {
        let head = self.height();
        if from > head {
            return Err(ClientError::Future { height: from, head });
        }
        let left = (head.0 - from.0).saturating_add(1);
        let count = u16::try_from(left).unwrap_or(FILTERS_MAX).min(FILTERS_MAX);
        self.ask(&Question::Filters { from, count }, async |_, reply| {
            let Reply::Filters(list) = reply else { return Err(Fault::other_answer()) };
            if list.len() > usize::from(count) {
                return Err(Fault::other_answer());
            }
            check(from, list)?;
            let Some((last, _)) = list.last() else { return Err(Fault::other_answer()) };
            let certified = self.header(last.height).await?;
            if certified != *last {
                return Err(Fault::proof(last.height, &"another block than the chain's"));
            }
            Ok(list.clone())
        })
        .await
    }
}

fn check<E>(from: Height, list: &[(Header, Filter)]) -> Result<(), Fault<E>> {
    let heights = (from.0..).map(Height);
    for ((header, filter), height) in list.iter().zip(heights) {
        if header.height != height {
            return Err(Fault::proof(height, &"a gap between headers"));
        }
        if filter.hash() != header.filter_hash {
            return Err(Fault::proof(height, &"the filter is not the header's"));
        }
    }
    for pair in list.windows(2) {
        let [(parent, _), (child, _)] = pair else { continue };
        if child.parent != parent.id() {
            return Err(Fault::proof(child.height, &"does not follow the header before it"));
        }
    }
    Ok(())
}
