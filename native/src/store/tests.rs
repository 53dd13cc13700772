use super::*;
use futures::executor::block_on;
use timecoin_core::testing::store_conformance;

#[test]
fn the_file_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    block_on(store_conformance(async || FileStore::open(folder.path()).unwrap()));
}
