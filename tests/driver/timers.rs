//! Every retry, resumption and time limit of the driver, one by one.

use std::time::Duration;

use cosign::driver::clock;
use cosign::driver::error::{Activity, Awaited, Error};
use cosign::net::LinkError;
use cosign::request::Ceremony;
use cosign::wire::{Message, Reason};
use tokio::time::{Instant, sleep};

use crate::liars::trickle_a_message;
use crate::network::Conditions;
use crate::seed::Seed;
use crate::world::{KEY, NAMES, TRIO, World, run};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn calm() -> World {
    World::new(&mut Seed::new(1), Conditions::default())
}

/// The result of `work`, and its duration in seconds of virtual time.
async fn timed<T>(work: impl Future<Output = T>) -> (T, u64) {
    let began = Instant::now();
    let result = work.await;
    (result, began.elapsed().as_secs())
}

#[test]
fn without_misfortune_any_two_sign_at_once() {
    run(async {
        let world = calm();
        for (asker, other) in [(0, 1), (1, 2), (2, 0)] {
            let (signed, took) = timed(world.sign(asker, &[other])).await;
            assert_eq!(signed.unwrap().signatures.len(), 1);
            assert!(took < 2, "{took} s");
        }
    });
}

#[test]
fn all_three_sign_together_through_the_requester() {
    run(async {
        let world = calm();
        assert_eq!(world.sign(1, &[0, 2]).await.unwrap().signatures.len(), 1);
    });
}

#[test]
fn a_device_that_starts_late_is_called_until_it_is_there() {
    run(async {
        let mut world = World::asleep(TRIO, &mut Seed::new(1), Conditions::default());
        world.wake(0);
        let signing = tokio::spawn(world.sign(0, &[1]));
        sleep(secs(12)).await;
        world.wake(1);
        assert_eq!(signing.await.unwrap().unwrap().signatures.len(), 1);
    });
}

#[test]
fn a_device_that_never_comes_is_given_up_after_fifteen_seconds() {
    run(async {
        let mut world = World::asleep(TRIO, &mut Seed::new(1), Conditions::default());
        world.wake(0);
        let (result, took) = timed(world.sign(0, &[1])).await;
        assert!(
            matches!(result, Err(Error::Link { error: LinkError::NotListening(_), .. })),
            "{result:?}"
        );
        assert!((14..=15).contains(&took), "{took} s");
    });
}

#[test]
fn a_device_is_waited_for_as_long_as_the_time_that_was_given() {
    run(async {
        let mut world = World::asleep(TRIO, &mut Seed::new(1), Conditions::default());
        world.wake(0);
        let (result, took) = timed(world.sign_within(0, &[1], secs(50))).await;
        assert!(
            matches!(result, Err(Error::Link { error: LinkError::NotListening(_), .. })),
            "{result:?}"
        );
        assert!((49..=50).contains(&took), "{took} s");
        let signing = tokio::spawn(world.sign_within(0, &[1], secs(50)));
        sleep(secs(40)).await;
        world.wake(1);
        assert_eq!(signing.await.unwrap().unwrap().signatures.len(), 1);
    });
}

#[test]
fn a_device_that_takes_the_call_and_says_nothing_is_given_up() {
    run(async {
        let world = calm();
        world.network.silence(1);
        let (result, took) = timed(world.sign(0, &[1])).await;
        assert!(
            matches!(result, Err(Error::Link { error: LinkError::TimedOut, .. })),
            "{result:?}"
        );
        assert!((14..=16).contains(&took), "{took} s");
    });
}

#[test]
fn a_message_that_comes_byte_by_byte_is_waited_for_for_a_minute() {
    run(async {
        let world = calm();
        let (answer, took) = timed(trickle_a_message(&world, 0, 1)).await;
        assert_eq!(answer, Message::Refuse { reason: Reason::Aborted });
        assert!((60..=61).contains(&took), "{took} s");
    });
}

#[test]
fn an_owner_who_thinks_for_a_minute_is_waited_for() {
    run(async {
        let world = calm();
        world.owner_takes(1, secs(60));
        let (result, took) = timed(world.sign(0, &[1])).await;
        assert_eq!(result.unwrap().signatures.len(), 1);
        assert!((60..=61).contains(&took), "{took} s");
    });
}

/// Its numbers are old when they are looked at, on both sides, and were right when they were asked for.
#[test]
fn devices_that_sign_while_a_request_of_theirs_waits_for_an_owner_are_not_called_rolled_back() {
    run(async {
        let world = calm();
        world.owner_takes(1, secs(60));
        let waiting = tokio::spawn(world.sign(0, &[1]));
        sleep(secs(5)).await;
        for (asker, other) in [(1, 0), (1, 0), (2, 0), (1, 2)] {
            assert_eq!(world.sign(asker, &[other]).await.unwrap().signatures.len(), 1);
        }
        assert_eq!(waiting.await.unwrap().unwrap().signatures.len(), 1);
        world.owner_takes(1, secs(0));
        for (asker, other) in [(0, 1), (1, 0), (2, 0), (2, 1)] {
            assert_eq!(world.sign(asker, &[other]).await.unwrap().signatures.len(), 1);
        }
    });
}

#[test]
fn a_caller_that_is_cut_off_while_it_comes_back_comes_back_once_more() {
    run(async {
        for pieces in 1..=8 {
            let world = calm();
            world.owner_takes(1, secs(60));
            let signing = tokio::spawn(world.sign(0, &[1]));
            sleep(secs(10)).await;
            let made = world.network.connections_made();
            world.network.break_after(pieces);
            world.network.hang_up(1);
            let signed = signing.await.unwrap();
            assert!(signed.as_ref().is_ok_and(|signed| !signed.signatures.is_empty()), "{pieces}");
            assert!(world.network.connections_made() >= made + 2, "{pieces}");
        }
    });
}

#[test]
fn an_owner_who_never_answers_ends_a_request_after_two_minutes_on_both_sides() {
    run(async {
        let world = calm();
        world.owner_takes(1, secs(100_000));
        let (result, took) = timed(world.sign(0, &[1])).await;
        let late = |error: &Error| {
            matches!(error, Error::Refused { reason: Reason::TimedOut, .. })
                || matches!(error, Error::TimedOut { awaited: Awaited::Approval, .. })
        };
        assert!(late(result.as_ref().unwrap_err()), "{result:?}");
        assert!((119..=121).contains(&took), "{took} s");
        world.owner_takes(1, Duration::ZERO);
        assert!(world.sign(2, &[1]).await.is_ok(), "nothing is held");
    });
}

#[test]
fn a_device_that_was_not_answered_is_let_in_again_after_two_seconds() {
    run(async {
        let world = calm();
        world.owner_takes(1, secs(100_000));
        let (result, took) = timed(world.sign_within(0, &[1], secs(8))).await;
        assert!(result.is_err());
        assert!((7..=9).contains(&took), "{took} s");
        world.owner_takes(1, Duration::ZERO);
        let early = world.sign_within(0, &[1], secs(1)).await;
        assert!(
            matches!(early, Err(Error::Refused { reason: Reason::Busy { seconds: 2 }, .. })),
            "{early:?}"
        );
        assert_eq!(world.outcomes(1).last().unwrap(), "busy");
        // It asks again by itself when it is told to.
        let (later, took) = timed(world.sign(0, &[1])).await;
        assert!(later.is_ok() && (1..=3).contains(&took), "{later:?} {took} s");
        assert_eq!(world.outcomes(1).last().unwrap(), "signed");
    });
}

#[test]
fn a_device_that_is_busy_is_asked_again_and_the_others_are_not() {
    run(async {
        let world = calm();
        world.owner_takes(2, secs(10));
        assert!(world.sign_within(0, &[2], secs(1)).await.is_err());
        world.owner_takes(2, Duration::ZERO);
        let (signed, took) = timed(world.sign(0, &[1, 2])).await;
        assert!(signed.is_ok(), "{signed:?}");
        assert!((1..5).contains(&took), "{took} s");
        sleep(secs(5)).await;
        assert_eq!(world.outcomes(1), ["signed"]);
    });
}

#[test]
fn a_request_waits_for_the_one_on_the_screen_and_is_asked_then() {
    run(async {
        let world = calm();
        world.owner_takes(1, secs(40));
        let first = tokio::spawn(world.sign(0, &[1]));
        sleep(secs(1)).await;
        let (result, took) = timed(world.sign(2, &[1])).await;
        assert!(result.is_ok(), "{result:?}");
        assert!((78..=80).contains(&took), "{took} s");
        assert!(first.await.unwrap().is_ok());
    });
}

#[test]
fn a_request_that_waits_for_a_person_ends_when_its_own_time_is_up() {
    run(async {
        let world = calm();
        world.owner_takes(1, secs(60));
        let first = tokio::spawn(world.sign(0, &[1]));
        sleep(secs(1)).await;
        let (result, took) = timed(world.sign_within(2, &[1], secs(8))).await;
        assert!(result.is_err(), "{result:?}");
        assert!((8..=9).contains(&took), "{took} s");
        assert!(first.await.unwrap().is_ok());
    });
}

#[test]
fn a_request_that_leaves_the_queue_makes_its_requester_wait() {
    run(async {
        let world = calm();
        world.owner_takes(1, secs(60));
        let first = tokio::spawn(world.sign(0, &[1]));
        sleep(secs(1)).await;
        assert!(world.sign_within(2, &[1], secs(3)).await.is_err());
        let again = world.sign_within(2, &[1], secs(1)).await;
        let busy =
            |error: &Error| matches!(error, Error::Refused { reason: Reason::Busy { .. }, .. });
        assert!(again.as_ref().is_err_and(busy), "{again:?}");
        assert!(first.await.unwrap().is_ok());
    });
}

#[test]
fn devices_that_ask_each_other_at_the_same_moment_all_sign() {
    run(async {
        let world = calm();
        let mut asking = tokio::task::JoinSet::new();
        for asker in world.all() {
            for other in world.others(asker) {
                (0..3).for_each(|_| drop(asking.spawn(world.sign(asker, &[other]))));
            }
            asking.spawn(world.sign(asker, &world.others(asker)));
        }
        let results = asking.join_all().await;
        assert_eq!(results.len(), 21);
        for result in results {
            assert!(result.is_ok(), "{result:?}");
        }
    });
}

#[test]
fn two_refreshes_of_a_key_at_the_same_moment_both_come_about() {
    run(async {
        let world = calm();
        let (one, other) = tokio::join!(world.refresh(0), world.refresh(1));
        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
        assert!(world.sign(2, &[0]).await.is_ok());
    });
}

#[test]
fn signatures_go_on_while_shares_are_made_anew_again_and_again() {
    run(async {
        let world = calm();
        let refreshing = async {
            for _ in 0..3 {
                let refreshed = world.refresh(1).await;
                assert!(refreshed.is_ok(), "{refreshed:?}");
            }
        };
        let signing = async {
            for round in 0..12 {
                let signed = world.sign(round % 3, &[(round + 1) % 3]).await;
                assert!(signed.is_ok(), "{signed:?}");
            }
        };
        tokio::join!(refreshing, signing);
    });
}

/// A device that no longer signs with the other, after a finding in another session, says so.
#[test]
fn a_pair_that_is_retired_while_it_signs_ends_the_session_with_the_reason_on_both_sides() {
    for reason in [Reason::Banned, Reason::Worn] {
        run(async {
            let delay = Duration::from_millis(400);
            let world =
                World::new(&mut Seed::new(1), Conditions { delay, ..Conditions::default() });
            let epoch = world.epoch(KEY);
            let signing = tokio::spawn(world.sign(0, &[1]));
            while world.ledger(1).height(&epoch) == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            let (ledger, alice) = (world.ledger(1), world.party(0, KEY));
            if reason == Reason::Banned {
                let fingerprint = world.fingerprint(0);
                let session = [0; 32];
                ledger.retire(&epoch, alice, &fingerprint, "E_OTE_CHECK", &session, 0).unwrap();
            }
            // Checks that are begun, and given up as by a process that is killed.
            while ledger.retired(&epoch).is_empty() {
                let session = clock::nonce().unwrap();
                ledger.spend(&epoch, &session, &[alice]).unwrap();
                let _ = ledger.begin_checks(&session, &[alice]);
            }
            let ended = signing.await.unwrap();
            assert!(
                matches!(&ended, Err(Error::Refused { reason: heard, .. }) if *heard == reason),
                "{ended:?}"
            );
            sleep(secs(5)).await;
            assert_eq!(world.outcomes(1), [reason.word()]);
        });
    }
}

#[test]
fn who_finishes_what_is_finished_leaves_no_line() {
    run(async {
        let world = calm();
        for _ in 0..3 {
            assert!(world.resume(0).await.is_ok());
        }
        sleep(secs(5)).await;
        assert!(world.outcomes(1).is_empty() && world.outcomes(2).is_empty());
        assert!(world.sign(0, &[1]).await.is_ok());
    });
}

#[test]
fn a_connection_that_breaks_while_an_owner_thinks_is_made_again() {
    run(async {
        let world = calm();
        world.owner_takes(1, secs(20));
        let signing = tokio::spawn(world.sign(0, &[1]));
        sleep(secs(10)).await;
        world.network.hang_up(1);
        assert_eq!(signing.await.unwrap().unwrap().signatures.len(), 1);
        assert_eq!(world.network.connections_made(), 2);
    });
}

#[test]
fn a_broken_link_is_resumed_although_its_caller_comes_with_another_request_first() {
    run(async {
        let world = calm();
        world.owner_takes(1, secs(3));
        let first = tokio::spawn(world.sign(0, &[1]));
        sleep(secs(1)).await;
        let listener = world.network.take_away(1);
        sleep(Duration::from_millis(100)).await;
        world.network.bring_back(1, listener);
        let second = tokio::spawn(world.sign(0, &[1]));
        for signing in [first, second] {
            let signed = signing.await.unwrap();
            assert!(signed.is_ok(), "{signed:?}");
        }
    });
}

#[test]
fn a_device_that_is_out_of_reach_for_less_than_thirty_seconds_goes_on() {
    run(async {
        let mut world = calm();
        world.owner_takes(1, secs(60));
        let signing = tokio::spawn(world.sign(0, &[1]));
        sleep(secs(10)).await;
        // Its network is gone; it runs on.
        let listener = world.network.take_away(1);
        sleep(secs(4)).await;
        world.network.bring_back(1, listener);
        assert_eq!(signing.await.unwrap().unwrap().signatures.len(), 1);
        world.crash(2);
    });
}

#[test]
fn a_device_that_stays_away_is_given_up_when_nobody_listens_there_for_five_seconds() {
    run(async {
        let mut world = calm();
        world.owner_takes(1, secs(100));
        let (result, took) = timed(async {
            let signing = tokio::spawn(world.sign(0, &[1]));
            sleep(secs(10)).await;
            world.crash(1);
            signing.await.unwrap()
        })
        .await;
        assert!(matches!(result, Err(Error::Link { error: LinkError::Lost, .. })), "{result:?}");
        assert!((14..=17).contains(&took), "{took} s");
    });
}

#[test]
fn a_device_that_dies_while_its_owner_is_asked_is_named_and_the_others_go_on() {
    run(async {
        let mut world = calm();
        world.owner_takes(2, secs(100));
        let (result, took) = timed(async {
            let making = tokio::spawn(world.make(0, "team", &[1, 2]));
            sleep(secs(10)).await;
            world.crash(2);
            making.await.unwrap()
        })
        .await;
        let lost = |error: &Error| {
            let Error::Link { peer, error } = error else { return false };
            peer.as_str() == NAMES[2] && *error == LinkError::Lost
        };
        assert!(lost(result.as_ref().unwrap_err()), "{result:?}");
        assert!((14..=17).contains(&took), "{took} s");
        for number in [0, 1] {
            assert!(!world.has_key(number, "team"), "{} has a key", NAMES[number]);
        }
        // Bob's device is free, and so is the name of the key.
        let (made, took) = timed(world.make(0, "team", &[1])).await;
        assert!(made.is_ok(), "{made:?}");
        assert!(took < 2, "{took} s");
    });
}

#[test]
fn a_silent_connection_is_noticed_and_called_again() {
    run(async {
        let world = calm();
        world.owner_takes(1, secs(90));
        let (result, took) = timed(async {
            let signing = tokio::spawn(world.sign(0, &[1]));
            sleep(secs(10)).await;
            world.network.silence(1);
            signing.await.unwrap()
        })
        .await;
        // Sixteen seconds of silence, then thirty in which it may come back.
        assert!(matches!(result, Err(Error::Link { error: LinkError::Lost, .. })), "{result:?}");
        assert!((50..=60).contains(&took), "{took} s");
    });
}

#[test]
fn a_requester_that_is_gone_after_the_yes_leaves_the_others_free() {
    run(async {
        let mut world = calm();
        world.owner_takes(1, secs(5));
        world.owner_takes(2, secs(20));
        let signing = tokio::spawn(world.sign(0, &[1, 2]));
        sleep(secs(10)).await;
        world.crash(0);
        signing.abort();
        // Bob has said yes and waits for the start; Carol's owner still thinks.
        sleep(secs(60)).await;
        world.owner_takes(2, Duration::ZERO);
        let (signed, took) = timed(world.sign(1, &[2])).await;
        assert_eq!(signed.unwrap().signatures.len(), 1);
        assert!(took < 2, "{took} s");
    });
}

#[test]
fn the_overall_deadline_ends_everything() {
    run(async {
        let world = calm();
        world.owner_takes(1, secs(100));
        let (result, took) = timed(world.sign_within(0, &[1], secs(8))).await;
        let kind = result.as_ref().unwrap_err();
        let late = matches!(kind, Error::TimedOut { .. } | Error::Refused { .. });
        assert!(late, "{result:?}");
        assert!((7..=9).contains(&took), "{took} s");
    });
}

#[test]
fn the_overall_deadline_ends_a_call_of_a_device_that_stands_still() {
    run(async {
        let world = calm();
        world.network.freeze(1);
        let (result, took) = timed(world.sign_within(0, &[1], secs(8))).await;
        let late = matches!(result, Err(Error::Link { error: LinkError::TimedOut, .. }));
        assert!(late, "{result:?}");
        assert!((7..=8).contains(&took), "{took} s");
    });
}

#[test]
fn the_overall_deadline_ends_a_request_to_a_device_that_stands_still() {
    for moment in [0, 3, 7] {
        run(async {
            let world = calm();
            world.owner_takes(1, secs(100));
            let (result, took) = timed(async {
                let signing = tokio::spawn(world.sign_within(0, &[1], secs(8)));
                sleep(secs(moment) + Duration::from_millis(100)).await;
                world.network.freeze(1);
                signing.await.unwrap()
            })
            .await;
            assert!(result.is_err(), "{result:?}");
            assert!((7..=8).contains(&took), "{took} s");
        });
    }
}

#[test]
fn an_owner_who_says_no_is_heard_at_once() {
    run(async {
        let world = calm();
        world.owner_refuses(1);
        let (result, took) = timed(world.sign(0, &[1])).await;
        assert!(matches!(result, Err(Error::Refused { reason: Reason::Denied, .. })), "{result:?}");
        assert!(took < 2, "{took} s");
    });
}

#[test]
fn what_this_device_denies_it_calls_denied() {
    let error = Error::Denied(Ceremony::Sign);
    assert_eq!(Reason::from(&error), Reason::Denied);
    let error = Error::Unanswered(Activity::Pairing);
    assert_eq!(Reason::from(&error), Reason::TimedOut);
}
