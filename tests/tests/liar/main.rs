//! Light clients over real sessions, with a program that lies before a node that does not: every lie is refused, reported
//! by its code, and the answer is the honest node's.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test, and says where")]

mod net;

use std::collections::BTreeMap;
use std::time::Duration;

use timecoin_core::amount::Amount;
use timecoin_core::answer::{Question, Reply};
use timecoin_core::driver::light::{ClientError, Found, LightClient, age_policy};
use timecoin_core::hash::TxId;
use timecoin_core::store::{MemoryError, MemoryStore};
use timecoin_core::vote::Height;
use timecoin_tests::liar::Lie;
use timecoin_tests::session::{Session, Sessions};

use net::{LiarProcess, Net, WAIT};

/// How long a peer may take to answer that never does, or late.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Longer than that.
const LATE_MS: u64 = 3_000;
/// More blocks than an answer may be behind.
const BLOCKS_TO_BE_STALE: u32 = 10;

type Client<'a> = LightClient<&'a Sessions, MemoryStore>;

async fn sessions(net: &Net, urls: &[(&str, Duration)]) -> Sessions {
    let mut sessions = Vec::new();
    for (url, wait) in urls {
        let session = Session::dial(url, net.chain.id).await.unwrap();
        session.status().wait_for(Option::is_some).await.unwrap();
        sessions.push((session, *wait));
    }
    Sessions::new(sessions)
}

async fn open<'a>(net: &Net, sessions: &'a Sessions) -> Client<'a> {
    let policy = age_policy(net.chain.spec.consensus.network, false);
    LightClient::open(net.chain.clone(), policy, None, sessions, MemoryStore::default()).await.unwrap()
}

/// Follows each peer to where it says it is, as a driver does.
async fn follow(client: &Client<'_>, sessions: &Sessions) {
    for peer in 0.. {
        let Some(session) = sessions.get(peer) else { break };
        let status = session.status().borrow().clone();
        if let Some(status) = status.filter(|_| session.is_open()) {
            client.follow(&peer, status.height).await.unwrap();
        }
    }
}

/// An answer is the truth, or there is none.
#[track_caller]
fn is_true<T: PartialEq + std::fmt::Debug>(
    what: &str,
    answer: Result<T, ClientError<MemoryError>>,
    truth: &T,
    must_be: bool,
) {
    match answer {
        Ok(answer) => assert_eq!(answer, *truth, "{what}"),
        Err(error) => {
            let harmless = matches!(
                error,
                ClientError::NoPeers
                    | ClientError::Unproved { .. }
                    | ClientError::NotFound
                    | ClientError::Future { .. }
            );
            assert!(!must_be && harmless, "{what}: {error}");
        }
    }
}

/// Asks everything that can be asked, and compares with what the node itself has. `must_be`: there must be an answer.
async fn ask_everything(net: &Net, client: &Client<'_>, paid: &TxId, must_be: bool) {
    let (owner, other) = (net.owner(), net.other_owner());
    let (balance, coins) = net.balance().await;
    let balances = client.balances(&[owner, other]).await.map(|proved| proved.value);
    is_true("balances", balances, &vec![(balance, coins.len() as u64), (Amount::ZERO, 0)], must_be);
    let listed = client.coins(&owner).await.map(|proved| {
        let outpoints = proved.value.into_iter().map(|(outpoint, output)| (outpoint, output.amount));
        outpoints.collect::<BTreeMap<_, _>>()
    });
    is_true("coins", listed, &coins, must_be);
    let (outpoint, amount) = coins.iter().next().unwrap();
    let coin = client.coin(&owner, outpoint).await.map(|coin| coin.map(|proved| proved.value.amount));
    match coin {
        Ok(None) if !must_be => {}
        coin => is_true("coin", coin, &Some(*amount), must_be),
    }
    let masternodes = client.masternodes().await.map(|proved| proved.value);
    is_true("masternodes", masternodes, &*net.state().registry, must_be);
    let final_in = net.final_in(paid).await;
    let found = client.transaction(paid).await.map(|found| {
        found.and_then(|found| matches!(found.value, Found::Final { .. }).then_some(found.header.height))
    });
    match found {
        // A peer's word that it is pending, or that it is not known, is no answer.
        Ok(None) if !must_be => {}
        found => is_true("transaction", found, &Some(final_in), must_be),
    }
    if client.height() >= final_in {
        let block = client.block(final_in).await.map(|proved| proved.value.header.id());
        is_true("block", block, &net.block_id(final_in).await, must_be);
        let filters = client.filters(Height(0)).await.map(|list| list.first().map(|(header, _)| header.id()));
        is_true("filters", filters, &Some(net.block_id(Height(0)).await), must_be);
    }
}

fn codes(sessions: &Sessions) -> Vec<(usize, &'static str)> {
    sessions.lies().into_iter().map(|(peer, lie)| (peer, lie.code())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lie_is_refused_and_reported_and_the_honest_peer_answers() {
    let net = Net::start().await;
    let paid = net.pay().await;
    for (lie, name, code) in Lie::ALL {
        let mut liar = LiarProcess::start(&net, name, LATE_MS).await;
        // On a busy machine the truth takes its time, too.
        let wait = if matches!(lie, Lie::Silent | Lie::Slow) { ANSWER_TIMEOUT } else { WAIT };
        let sessions = sessions(&net, &[(&liar.url, wait), (&net.url, WAIT)]).await;
        let client = open(&net, &sessions).await;
        follow(&client, &sessions).await;
        assert!(client.height() >= net.final_in(&paid).await, "{name}: the honest peer's head");
        ask_everything(&net, &client, &paid, true).await;
        if lie == Lie::StaleHead {
            assert_eq!(sessions.lies(), [], "{name}: not yet");
            for _ in 0..BLOCKS_TO_BE_STALE {
                net.pay().await;
            }
            follow(&client, &sessions).await;
            ask_everything(&net, &client, &paid, true).await;
        }
        // A payment goes through, whatever one of two peers makes of it.
        let payment = net.next_payment();
        let txid = payment.transaction.id();
        assert_eq!(client.watch(&[txid]).await.iter().filter(|change| change.txid != txid).count(), 0);
        if matches!(lie, Lie::FinalPayment | Lie::SwallowedPayment) {
            // Nobody else has heard of it yet.
            let submitted = Question::Submit(Box::new(payment.clone()));
            let taken = sessions.get(0).unwrap().ask(&submitted).await;
            assert_eq!(taken, Ok(Reply::Submit(Ok(txid))), "{name}");
            assert_eq!(client.transaction(&txid).await, Ok(None), "{name}: nobody proves it");
        }
        assert_eq!(client.submit(&payment).await, Ok(txid), "{name}");
        net.is_final(&txid).await;
        follow(&client, &sessions).await;
        let found = tokio::time::timeout(WAIT, client.wait_final(&txid)).await.expect("in time").unwrap();
        assert_eq!(found.header.height, net.final_in(&txid).await, "{name}");
        assert_eq!(client.receipt(&txid).await.unwrap().value.payment.transaction.id(), txid, "{name}");

        let reported = codes(&sessions);
        assert!(
            reported.iter().all(|reported| Some(*reported) == code.map(|code| (0, code))),
            "{name}: {reported:?}"
        );
        assert_eq!(reported.is_empty(), code.is_none(), "{name}: {reported:?}");
        for report in sessions.reports() {
            assert_eq!(
                report.proof.is_empty(),
                report.lie.code() == "withheld",
                "{name}: with what shows it"
            );
            assert!(!report.detail.is_empty(), "{name}");
        }
        let is_proved = sessions.lies().iter().any(|(_, lie)| lie.is_proved());
        let is_cut_off = is_proved || lie == Lie::Garbage;
        assert_eq!(
            sessions.get(0).unwrap().is_open(),
            !is_cut_off,
            "{name}: who is proved to lie is cut off"
        );
        assert!(sessions.get(1).unwrap().is_open(), "{name}");
        assert_eq!(liar.has_lied(), lie != Lie::None, "{name}: it was tried");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_only_a_liar_has_no_answer_rather_than_a_false_one() {
    let net = Net::start().await;
    let paid = net.pay().await;
    for (lie, name, _) in Lie::ALL {
        let liar = LiarProcess::start(&net, name, LATE_MS).await;
        // That there is no answer is as good as any that is not false: nobody is waited for.
        let wait = if lie == Lie::None { WAIT } else { Duration::from_millis(200) };
        let sessions = sessions(&net, &[(&liar.url, wait)]).await;
        let client = open(&net, &sessions).await;
        follow(&client, &sessions).await;
        ask_everything(&net, &client, &paid, lie == Lie::None).await;
        let payment = net.next_payment();
        let txid = payment.transaction.id();
        // Its word that it took a payment is all there is; that it is final is never believed.
        let _ = client.submit(&payment).await;
        if matches!(lie, Lie::SwallowedPayment | Lie::FinalPayment | Lie::RefusedPayment) {
            let found = client.transaction(&txid).await;
            let is_final = matches!(found, Ok(Some(found)) if matches!(found.value, Found::Final { .. }));
            assert!(!is_final, "{name}");
        }
        net.settled(&txid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_heights_come_over_a_session() {
    let liar = LiarProcess::epochs(5).await;
    let chain = liar.spec().await;
    let session = Session::dial(&liar.url, chain.id).await.unwrap();
    let status = session.status().wait_for(Option::is_some).await.unwrap().clone().unwrap();
    let sessions = Sessions::new(vec![(session, WAIT)]);
    let policy = age_policy(chain.spec.consensus.network, false);
    let opened = LightClient::open(chain, policy, None, &sessions, MemoryStore::default());
    let client = opened.await.unwrap();
    assert_eq!(client.follow(&0, status.height).await, Ok(true));
    assert_eq!((client.height(), codes(&sessions)), (Height(1_000_000), Vec::new()));
    let checked = client.head().unwrap().proof.certificates_checked;
    assert!(5 * checked <= 700, "{checked} certificates for 700 epochs of which each replaces a twentieth");
}
