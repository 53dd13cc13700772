//! What the earlier node got wrong, one test for each line of the first table of the list of lessons, named by its
//! number. Lessons that show in one module only have their test there: 10 in the rules, 14 in the configuration,
//! 15 in the messages; 9 and 13 have a second one with real processes, in `native/tests/cluster.rs`.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test, and says where")]

mod crashes;
mod epochs;
mod memory;
mod rules;
mod verdicts;
mod votes;
mod waiting;
mod world;
