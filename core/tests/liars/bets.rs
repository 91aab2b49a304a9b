//! Lies that pass if the liar guesses a secret bit (docs/protocol.md §5.4, §6.4): a wrong guess
//! must cost the pair.

use cosign_core::hazmat::protocol::fault::Check;

use crate::group::*;
use crate::reference::Lies;
use crate::scene::{Scene, scenes};
use crate::transfers::{Guess, Pair, Raised, XI, beta, bit};

/// The liar bets; the victim signs if the bet is won, and retires the pair if it is lost.
fn bet(scene: &Scene, lies: Lies, won: bool, check: Check, at: &'static str) {
    let shares = scene.key.shares();
    let mut group = scene.honest(&shares).with(scene.reference(lies)).honestly();
    if !won {
        return scene.assert(group, &shares, scene.by_liar(check, at));
    }
    let victim = group.member(scene.victim);
    let Some(Signed::Signature(signature)) = victim.done() else {
        panic!("the bet was won: {:?}", victim.fault());
    };
    verify(shares[&scene.victim].public_key_bytes(), signature);
    assert_eq!(retired(&shares), []);
}

/// Only between two: among three, another victim has other secrets.
fn between_two() -> impl Iterator<Item = Scene> {
    scenes().into_iter().filter(|scene| scene.setup.signers.len() == 2)
}

/// U-02: a transfer that carries another input aborts if and only if the victim chose it. Its
/// choices are fresh in every session, so a won bet is worth nothing in the next.
#[test]
fn an_altered_transfer_is_found_exactly_if_the_victim_chose_it() {
    for scene in between_two() {
        let beta = beta(&scene.seed(scene.victim), scene.liar);
        let some = |chosen| (0..XI).filter(move |j| bit(&beta, *j) == chosen).step_by(97);
        for transfer in some(true).chain(some(false)).collect::<Vec<_>>() {
            let raised = Some(Raised { transfer, input: transfer % 3 });
            let lies = Lies { raised, ..Lies::default() };
            bet(&scene, lies, !bit(&beta, transfer), Check::RvoleCheck, "SG2");
        }
    }
}

/// U-03: an error in one row of the corrections passes if and only if the liar knows where the
/// victim's hole in that tree is. The holes are those of every signature, which is why one lost
/// bet ends them all.
#[test]
fn an_altered_correction_passes_exactly_if_the_hole_was_guessed() {
    for (number, scene) in between_two().enumerate() {
        let tree = 3 + 9 * number;
        let hole = Pair::read(scene.key, scene.victim, scene.liar).holes[tree];
        for guess in 0..16 {
            let guessed = Guess { tree, bit: 7 + 100 * number, hole: guess };
            let lies = Lies { guess: Some(guessed), ..Lies::default() };
            bet(&scene, lies, guess == hole, Check::OteCheck, "SG1");
        }
    }
}

/// The liar may bet as often as it likes: it is answered once.
#[test]
fn nobody_bets_twice() {
    let scene = between_two().next().unwrap();
    let shares = scene.key.shares();
    let hole = Pair::read(scene.key, scene.victim, scene.liar).holes[0];
    let mut answers = 0;
    for guess in (0..16).filter(|guess| *guess != hole) {
        let guess = Some(Guess { tree: 0, bit: 0, hole: guess });
        let Ok(victim) = signer("bets", &shares[&scene.victim], scene.setup.clone()) else {
            continue;
        };
        let liar = scene.reference(Lies { guess, ..Lies::default() });
        let mut group = Group::of([victim]).with(liar).honestly();
        group.member(scene.victim).stopped(scene.by_liar(Check::OteCheck, "SG1"));
        answers += 1;
    }
    assert_eq!(answers, 1);
}
