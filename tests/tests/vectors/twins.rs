//! Twins scenarios of others, all of two rounds, and some of more validators.

use timecoin_tests::twins::{Play, Scenarios};

use super::vector_text;

/// More views than it has rounds no scenario may take: proposers that ran twice have turns, and so has each that does not know yet what
/// the others have prepared.
const VIEWS_MORE: u32 = 4;

fn play(name: &str, number: usize, play: &Play) -> usize {
    let ending = play.run().unwrap_or_else(|fault| panic!("{name}, scenario {number}: {fault}\n{play:?}"));
    assert!(
        ending.decided_in.0 <= play.rounds() + VIEWS_MORE,
        "{name}, scenario {number}: {ending:?}\n{play:?}"
    );
    ending.evidence
}

#[test]
fn scenarios_of_others_end_in_one_block() {
    let mut noticed = 0;
    for name in ["fhs_twins", "streamlet_twins", "test_scenarios"] {
        let Some(text) = vector_text(&format!("twins/{name}.json")) else { return };
        let scenarios = Scenarios::from_json(&text).unwrap();
        noticed +=
            scenarios.plays().enumerate().map(|(at, scenario)| play(name, at, &scenario)).sum::<usize>();
    }
    assert!(noticed > 0, "twins contradict themselves");
}

/// All ways in which four validators, the first of whom runs twice and leads, hear each other in two rounds; `sim --twins 4` plays
/// the 50,625 of four.
#[test]
fn all_short_scenarios_end_in_one_block() {
    assert_eq!([2, 4].map(Play::ways), [225, 50_625]);
    let evidence: usize = (0..Play::ways(2)).map(|at| play("two rounds", at, &Play::way(2, at))).sum();
    assert!(evidence > 0);
}

/// Some of the ways in which seven validators, of whom two run twice, hear each other in four rounds; `sim --twins 4 --samples 100000`
/// plays more of them.
#[test]
fn two_of_seven_that_run_twice_make_no_second_block() {
    let evidence: usize = (0..200).map(|at| play("seven validators", at, &Play::sample(4, at as u64))).sum();
    assert!(evidence > 0);
}
