//! kill -9 while two people compare digits.

use crate::device::Device;
use crate::survey::whole;
use crate::terminal::Terminal;

const QUESTION: &str = "do both screens show the same code? [y/N] ";

fn listening(bob: &Device) -> (Terminal, String) {
    let mut screen = bob.terminal(["listen", "--bind", "127.0.0.1", "--port", "0"]);
    let address = screen.address();
    (screen, address)
}

/// Both people are asked.
fn comparing(alice: &Device, at_bob: &mut Terminal, address: &str) -> Terminal {
    let mut at_alice = alice.terminal(["pair", "--peer", address]);
    at_alice.shows(QUESTION);
    at_bob.shows(QUESTION);
    at_alice
}

/// The ended code is acknowledged as soon as another device wants to pair.
fn pairs_after_a_page(alice: &Device, bob: &Device, at_bob: &mut Terminal, address: &str) {
    let mut at_alice = alice.terminal(["pair", "--peer", address]);
    at_bob.shows("type ok and Enter to go on: ").types("ok\n");
    at_bob.shows(QUESTION).types("y\n");
    at_alice.shows(QUESTION).types("y\n");
    assert_eq!(at_alice.ends().0, Some(0));
    at_bob.shows("paired with");
    assert_eq!((alice.peers(), bob.peers()), (vec!["bob".to_owned()], vec!["alice".to_owned()]));
}

/// They pair, at once.
#[track_caller]
fn pairs(alice: &Device, bob: &Device, at_bob: &mut Terminal, address: &str) {
    whole(alice);
    whole(bob);
    let mut at_alice = comparing(alice, at_bob, address);
    at_alice.types("y\n");
    at_bob.types("y\n");
    assert_eq!(at_alice.ends().0, Some(0));
    at_bob.shows("paired with");
    assert_eq!((alice.peers(), bob.peers()), (vec!["bob".to_owned()], vec!["alice".to_owned()]));
}

#[test]
fn a_requester_killed_while_pairing_pairs_again_at_once() {
    let (alice, bob) = (Device::new("alice"), Device::new("bob"));
    let (mut at_bob, address) = listening(&bob);
    // Before the first yes.
    comparing(&alice, &mut at_bob, &address).kill();
    at_bob.shows("pair ended: ");
    whole(&alice);
    whole(&bob);
    pairs_after_a_page(&alice, &bob, &mut at_bob, &address);
    // When one of them did.
    let mut at_alice = comparing(&alice, &mut at_bob, &address);
    at_alice.types("y\n").shows("waiting for bob");
    at_alice.kill();
    at_bob.shows("pair ended: ");
    whole(&alice);
    whole(&bob);
    pairs_after_a_page(&alice, &bob, &mut at_bob, &address);
    // When the other one stores the record.
    let mut at_alice = comparing(&alice, &mut at_bob, &address);
    at_alice.types("y\n").shows("waiting for bob");
    at_bob.types("y\n").shows("paired with");
    at_alice.kill();
    pairs(&alice, &bob, &mut at_bob, &address);
}

#[test]
fn a_listener_killed_while_pairing_pairs_again_at_once() {
    let (alice, bob) = (Device::new("alice"), Device::new("bob"));
    for bob_says_yes in [false, true] {
        let (mut at_bob, address) = listening(&bob);
        let at_alice = comparing(&alice, &mut at_bob, &address);
        if bob_says_yes {
            at_bob.types("y\n").shows("waiting for alice");
        }
        at_bob.kill();
        assert_eq!(at_alice.ends().0, Some(4));
    }
    assert!(alice.peers().is_empty() && bob.peers().is_empty());
    let (mut at_bob, address) = listening(&bob);
    pairs(&alice, &bob, &mut at_bob, &address);
}
