//! Questions of the page.

use std::rc::Rc;

use timecoin_core::address::Address;
use timecoin_core::codec::{decode, encode};
use timecoin_core::driver::light::{ClientError, Proved};
use timecoin_core::hash::{Owner, TxId, hex_to_vec, to_hex};
use timecoin_core::transaction::SignedTransaction;
use timecoin_core::vote::Height;

use super::{Node, view};
use crate::api::types::{
    AddressParams, Answer, Balance, BlockParams, BlockView, Coin, Head, Masternode, Nothing, ReceiptForms,
    Storage, SubmitParams, TransactionParams, TransactionView, WaitParams,
};
use crate::api::{ApiError, Code};
use crate::platform::within;

crate::methods! {
    /// The newest verified block: at once where there is one from before, with its age.
    "head"(Nothing) -> Answer<Head> = head;
    /// Everything an address owns.
    "balance"(AddressParams) -> Answer<Balance> = balance;
    /// Every coin of an address.
    "coins"(AddressParams) -> Answer<Vec<Coin>> = coins;
    /// A block by height or id.
    "block"(BlockParams) -> Answer<BlockView> = block;
    /// A transaction: proved where it is final, a peer's word where it is pending.
    "transaction"(TransactionParams) -> Answer<TransactionView> = transaction;
    /// Every masternode.
    "masternodes"(Nothing) -> Answer<Vec<Masternode>> = masternodes;
    /// Hands a signed transaction to peers; a second time does no harm.
    "submit"(SubmitParams) -> TxId = submit;
    /// The transaction, once it is proved final.
    "wait_final"(WaitParams) -> Answer<TransactionView> = wait_final;
    /// The receipt of a final payment.
    "receipt"(TransactionParams) -> ReceiptForms = receipt;
    /// Whether the store keeps what it should.
    "storage"(Nothing) -> Storage = storage;
}

impl Node {
    fn network(&self) -> timecoin_core::address::Network {
        self.chain.spec.consensus.network
    }

    fn owner(&self, address: &str) -> Result<Owner, ApiError> {
        Address::parse_for(self.network(), address)
            .map_err(|error| ApiError::new(Code::BadAddress, format!("{error}.")))
    }
}

async fn head(node: &Rc<Node>, Nothing {}: Nothing) -> Result<Answer<Head>, ApiError> {
    let client = node.opened().await?;
    // Genesis is what the spec says, and no news: somebody has to say that there is nothing newer.
    let client =
        if client.height() == Height(0) || client.head().is_none() { node.ready().await? } else { client };
    let Proved { header, proof, .. } = client.verified_head().await?;
    Ok(Answer::new(view::head(&header, None), &proof, true))
}

async fn balance(
    node: &Rc<Node>,
    AddressParams { address }: AddressParams,
) -> Result<Answer<Balance>, ApiError> {
    let owner = node.owner(&address)?;
    let client = node.ready().await?;
    let proved = client.balances(&[owner]).await;
    node.settle();
    let Proved { value, proof, .. } = proved?;
    let (amount, coins) = value.first().copied().ok_or_else(missing)?;
    Ok(Answer::new(Balance { address, amount, coins }, &proof, true))
}

fn missing() -> ApiError {
    ApiError::new(Code::Internal, "An answer to nothing asked.")
}

async fn coins(
    node: &Rc<Node>,
    AddressParams { address }: AddressParams,
) -> Result<Answer<Vec<Coin>>, ApiError> {
    let owner = node.owner(&address)?;
    let client = node.ready().await?;
    let proved = client.coins(&owner).await;
    node.settle();
    let Proved { value, proof, .. } = proved?;
    let network = node.network();
    let coins = value.iter().map(|(outpoint, output)| view::coin(network, outpoint, output)).collect();
    Ok(Answer::new(coins, &proof, true))
}

async fn block(node: &Rc<Node>, params: BlockParams) -> Result<Answer<BlockView>, ApiError> {
    let client = node.ready().await?;
    let height = match params {
        BlockParams { height: Some(height), block: None } => height,
        BlockParams { height: None, block: Some(block) } => client.height_of(&block).await?,
        BlockParams { .. } => {
            return Err(ApiError::new(Code::BadRequest, "A block has a height or an id."));
        }
    };
    let Proved { value, proof, .. } = client.block(height).await?;
    let certified = match height {
        Height(0) => None,
        height => Some(client.certified(height).await?),
    };
    node.settle();
    Ok(Answer::new(view::block(node.network(), &value, certified.as_ref()), &proof, true))
}

async fn transaction(
    node: &Rc<Node>,
    TransactionParams { txid }: TransactionParams,
) -> Result<Answer<TransactionView>, ApiError> {
    let client = node.ready().await?;
    let found = client.transaction(&txid).await;
    node.settle();
    let found = found?
        .ok_or_else(|| ApiError::new(Code::NotFound, "No peer that was asked knows of this transaction."))?;
    Ok(view::found(node.network(), &found))
}

async fn masternodes(node: &Rc<Node>, Nothing {}: Nothing) -> Result<Answer<Vec<Masternode>>, ApiError> {
    let client = node.ready().await?;
    let proved = client.masternodes().await;
    node.settle();
    let Proved { value, proof, .. } = proved?;
    let (network, set) = (node.network(), client.trusted().next_validators);
    let all = value.iter().map(|registered| view::masternode(network, registered, &set)).collect();
    Ok(Answer::new(all, &proof, true))
}

async fn submit(node: &Rc<Node>, SubmitParams { hex }: SubmitParams) -> Result<TxId, ApiError> {
    let unreadable = || ApiError::new(Code::BadRequest, "These are not the bytes of a signed transaction.");
    let bytes = hex_to_vec(&hex).ok_or_else(unreadable)?;
    let signed: SignedTransaction = decode(&bytes).map_err(|_| unreadable())?;
    let client = node.ready().await?;
    match client.submit(&signed).await {
        // A second time, after the first went all the way.
        Err(ClientError::Refused(refusal)) => match client.transaction(&signed.transaction.id()).await {
            Ok(Some(_)) => Ok(signed.transaction.id()),
            _ => Err(ClientError::Refused(refusal).into()),
        },
        submitted => Ok(submitted?),
    }
}

async fn wait_final(node: &Rc<Node>, params: WaitParams) -> Result<Answer<TransactionView>, ApiError> {
    let WaitParams { txid, timeout_ms } = params;
    let waiting = node.wait_final(txid, |_| {});
    let found = match timeout_ms {
        None => waiting.await?,
        Some(timeout_ms) => within(timeout_ms, waiting)
            .await
            .ok_or_else(|| ApiError::new(Code::Timeout, "The payment was not final in time."))??,
    };
    Ok(view::found(node.network(), &found))
}

async fn receipt(
    node: &Rc<Node>,
    TransactionParams { txid }: TransactionParams,
) -> Result<ReceiptForms, ApiError> {
    let client = node.ready().await?;
    let receipt = client.receipt(&txid).await?.value;
    Ok(ReceiptForms {
        txid,
        json: receipt.to_json(),
        text: receipt.to_text(),
        hex: to_hex(&encode(&receipt)),
    })
}

async fn storage(node: &Rc<Node>, Nothing {}: Nothing) -> Result<Storage, ApiError> {
    Ok(Storage { problem: node.store.problem() })
}
