//! Connections that break in the middle of a ceremony, and ceremonies that go on.

use cosign::device::Label;
use cosign::driver::connect::hello::{hear, say};
use cosign::request::Hex;
use cosign::wire::{Message, Reason, VERSION, Want};
use rustix::process::Signal;

use crate::device::{Device, Listener, introduce, two, two_with_key};
use crate::insider::{block_on, call, enter, opened, soon};
use crate::openssl;
use crate::scissors::Scissors;
use crate::signing::{exported, fresh_digest};

/// A listener that allows each kind of ceremony once, so that a second question would be denied.
fn once_each(bob: &Device) -> Listener {
    bob.policy(
        "[[rule]]\npeer = \"alice\"\nceremony = \"keygen\"\nmax_count = 1\naction = \"allow\"\n\
         [[rule]]\npeer = \"alice\"\nceremony = \"sign\"\nmax_count = 1\naction = \"allow\"\n",
    );
    bob.listen(&["--policy", "policy.toml"])
}

#[test]
fn a_connection_cut_anywhere_in_keygen_and_sign_is_resumed_and_nobody_is_asked_again() {
    // A TLS handshake and a greeting take some 3000 bytes: the first cut falls behind them, and
    // later ones also hit handshakes of resumption.
    let plans: [&[usize]; 4] = [
        &[4_000, 3_500, 20_000, 60_000],
        &[9_000, 100, 1_000, 40_000],
        &[50_000, 50_000, 50_000],
        &[150_000, 5_000],
    ];
    for plan in plans {
        let (alice, bob) = two();
        let listener = once_each(&bob);
        let way = Scissors::before(&listener, plan);
        let keygen = ["keygen", "--key", "vault", "--with", "bob", "--peer", &way.address];
        let made = alice.run(keygen);
        let resumed = made.events("connected").iter().any(|event| event["resumed"] == true);
        assert_eq!(made.events("disconnected").is_empty(), !resumed, "{made:?}");
        assert_eq!(made.succeeds()["confirmed"], true);

        let way = Scissors::before(&listener, plan);
        let digest = fresh_digest();
        let signed = alice.run(["sign", &digest, "--key", "vault", "--peer", &way.address]);
        assert!(way.cuts() >= 1 || plan[0] > 100_000, "{signed:?}");
        openssl::is_satisfied(&signed.succeeds(), &exported(&bob, "vault"), &digest);
        assert_eq!(bob.outcomes(), ["stored", "signed"]);
    }
}

#[test]
fn the_connection_to_one_of_three_is_resumed_with_all_that_it_forwards() {
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    introduce(&[&alice, &bob, &carol]);
    let (at_bob, at_carol) = (once_each(&bob), once_each(&carol));
    let to_bob = Scissors::before(&at_bob, &[9_000, 30_000, 90_000]);
    let to_carol = Scissors::before(&at_carol, &[60_000, 4_000]);
    let routes = [format!("bob={}", to_bob.address), format!("carol={}", to_carol.address)];
    let keygen = ["keygen", "--key", "all", "--threshold", "3", "--with", "bob,carol"];
    let made = alice.run(keygen.into_iter().chain(["--peer", &routes[0], "--peer", &routes[1]]));
    assert_eq!(made.succeeds()["confirmed"], true);
    assert!(to_bob.cuts() >= 2 && to_carol.cuts() >= 1);
}

#[test]
fn only_the_device_that_called_can_come_back_and_only_to_its_own_line() {
    let (alice, bob, listener) = two_with_key();
    let carol = Device::new("carol");
    introduce(&[&bob, &carol]);
    let back = |session| Message::Hello {
        version: VERSION,
        name: Label::new("alice"),
        want: Want::Resume { session, received: 0 },
        about: None,
    };
    block_on(async {
        let (alice, carol) = (opened(&alice).tls.clone(), opened(&carol).tls.clone());
        let line = enter(&alice, &listener.address()).await;
        let session = Hex(line.session());
        for (who, session) in [(&carol, session), (&alice, Hex([7; 16]))] {
            let mut link = call(who, &listener.address()).await;
            say(&mut link, &back(session)).await.unwrap();
            let answer = hear(&mut link, soon()).await;
            assert_eq!(answer, Ok(Message::Refuse { reason: Reason::Gone }));
        }
        drop(line);
        let mut link = call(&alice, &listener.address()).await;
        say(&mut link, &back(session)).await.unwrap();
        assert_eq!(hear(&mut link, soon()).await, Ok(Message::Resumed { received: 0 }));
    });
}

#[test]
fn a_requester_that_was_killed_and_asks_anew_is_not_kept_waiting_for_itself() {
    let (alice, bob) = two();
    let mut listener = bob.serve(&[&alice]);
    let keygen = |name: &str| {
        alice.start(["keygen", "--key", name, "--with", "bob", "--peer", &listener.address()])
    };
    let mut killed = keygen("first");
    killed.event("round");
    killed.signal(Signal::KILL);
    killed.ends();
    keygen("second").ends().succeeds();
    listener.event_where("aborted", |event| event["ceremony"] == "keygen");
}
