//! Writes `web/js/api.ts`, and fails where it is not current.

use std::path::Path;
use std::{env, fs};

use super::Code;
use super::describe::Declared;
use super::types::*;
use crate::node::{answers_described, topics_described};
use crate::wallet::{
    BackupParams, Changed, EntryKind, Fate, History, HistoryEntry, LabelParams, MasternodeChange,
    OutgoingPayment, PasswordParams, Payment, Position, Quote, RestoreParams, Scanning, Sent, UnlockParams,
    WalletAddress, WalletProblem, WalletStatus, WalletView, Words, wallet_described,
};

const HEAD: &str = "\
/**
 * The interface between a page and its node. Made from Rust by a test of `timecoin-web`; edits are overwritten:
 * `TIMECOIN_WRITE=1 cargo test -p timecoin-web typescript`.
 *
 * Amounts are decimal strings in whole coins, heights are numbers, times are milliseconds since 1970, ids and keys are
 * lower-case hexadecimal.
 */

/** An answer with the block at which it holds. */
export interface Answer<T> {
  value: T;
  /** Height of the block at which it holds. */
  height: number;
  /** Its id. */
  block: string;
  /** Its header's time. */
  time: number;
  /** How long ago that was. */
  age_ms: number;
  /** How that block is known to be final. */
  finality: Finality;
  /** Whether `value` was proved under that block. */
  verified: boolean;
}
";

fn declarations() -> Vec<String> {
    macro_rules! all {
        ($($name:ident)*) => { vec![$($name::declaration()),*] };
    }
    all!(
        State TrustedFrom Finality Head Balance Coin Phase Action Tier Class Place TransactionView PhaseChange Evidence
        PeerState PeerView Signer Certificate BlockView Status Masternode ReceiptForms StorageProblem Storage Nothing
        AddressParams BlockParams TransactionParams SubmitParams WaitParams
        WalletStatus WalletAddress Scanning Fate OutgoingPayment WalletProblem WalletView EntryKind HistoryEntry History
        Payment Quote Sent MasternodeChange Changed Words Position PasswordParams RestoreParams BackupParams UnlockParams LabelParams
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn text() -> String {
    let mut text = HEAD.to_owned();
    for declaration in declarations() {
        text += "\n";
        text += &declaration;
    }
    let methods: Vec<_> = answers_described().into_iter().chain(wallet_described()).collect();
    text += "\n/** What can be called. */\nexport interface Methods {\n";
    methods.iter().for_each(|(line, _)| text += line);
    text += "}\n\n/** Calls that are not repeated by themselves: a second one would not be the same. */\n";
    let once: Vec<_> = methods.iter().filter_map(|(_, once)| *once).map(quoted).collect();
    text += &format!("export const ONCE: readonly string[] = [{}];\n", once.join(", "));
    text += "\n/** What can be subscribed to. */\nexport interface Topics {\n";
    topics_described().iter().for_each(|line| text += line);
    text + "}\n\nexport { ERRORS, type Code } from './codes.js';\n"
}

const CODES: &str = "\
/** Made from Rust with `api.ts`. */

/** Every failure: whether the same request may succeed later, and what to do. */
export const ERRORS = {
";

fn codes() -> String {
    let mut text = CODES.to_owned();
    for code in Code::ALL {
        text += &format!("  {}: [{}, {}],\n", quoted(code.code()), code.may_retry(), quoted(code.advice()));
    }
    text + "} as const satisfies Record<string, readonly [retry: boolean, advice: string]>;\n\nexport type Code = keyof typeof ERRORS;\n"
}

#[test]
fn the_typescript_is_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("js");
    for (name, expected) in [("api.ts", text()), ("codes.ts", codes())] {
        let path = folder.join(name);
        if env::var_os("TIMECOIN_WRITE").is_some() {
            fs::write(&path, &expected).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "run this with TIMECOIN_WRITE=1 to write {}", path.display());
    }
}

#[test]
fn codes_are_all_different() {
    let mut codes: Vec<_> = Code::ALL.iter().map(|code| code.code()).collect();
    codes.sort_unstable();
    let count = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), count);
}
