//! Many worlds, each with the faults of its seed: every ceremony ends, no state is lost, and no
//! device is accused.

use std::time::Duration;

use cosign::driver::error::Error;
use cosign::vault::ledger::MAX_UNRESOLVED;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::network::Conditions;
use crate::seed::Seed;
use crate::world::{Fate, KEY, NAMES, TRIO, World, run};

/// No request of a second's work takes longer than all limits of the driver together.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// The seeds that are tried.
pub(crate) fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match (number("COSIGN_SEED"), number("COSIGN_SEEDS")) {
        (Some(one), _) => one..one + 1,
        (None, many) => 0..many.unwrap_or(usual),
    }
}

/// Says which seed it was that failed.
pub(crate) struct Named(pub(crate) u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("COSIGN_SEED={} replays it", self.0);
        }
    }
}

/// The request of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    SignWithOne,
    SignWithAll,
    Refresh,
    Resume,
}

/// Begins what is wished for.
fn grant(
    world: &World,
    wish: Wish,
    asker: usize,
    seed: &mut Seed,
) -> JoinHandle<Result<(), Error>> {
    match wish {
        Wish::SignWithOne => world.signing(asker, &[seed.one_of(&world.others(asker))]),
        Wish::SignWithAll => world.signing(asker, &world.others(asker)),
        Wish::Refresh => {
            let refreshing = world.refresh(asker);
            tokio::spawn(async { refreshing.await.map(drop) })
        }
        Wish::Resume => {
            let resuming = world.resume(asker);
            tokio::spawn(async { resuming.await.map(drop) })
        }
    }
}

/// Every two devices sign, no pair is banned, no device counts as rolled back, and every log is
/// whole.
async fn is_well(world: &World) {
    for (asker, other) in [(0, 1), (1, 2), (2, 0)] {
        let signed = world.sign(asker, &[other]).await;
        let (asker, other) = (NAMES[asker], NAMES[other]);
        assert!(signed.is_ok(), "{asker} and {other} cannot sign: {signed:?}");
    }
    for (number, name) in NAMES.iter().enumerate().take(TRIO.size) {
        world.log_is_whole(number);
        let ledger = world.ledger(number);
        for record in cosign::vault::keys::list(&world.node(number).home).unwrap() {
            assert_eq!(ledger.retired(&record.epoch), [], "{name} banned somebody");
        }
    }
}

/// One world: its misfortunes, one request, and its state afterwards.
async fn live(number: u64) {
    let mut seed = Seed::new(number);
    let conditions = Conditions {
        delay: Duration::from_millis(seed.one_of(&[0, 5, 50, 400])),
        breaks: seed.one_of(&[0, 10, 60, 200]),
        at_most: seed.one_of(&[1, 2, 6]),
    };
    let mut world = World::new(&mut seed, conditions);
    for owner in world.all() {
        world.owner_takes(owner, Duration::from_secs(seed.one_of(&[0, 1, 20])));
    }
    let wishes =
        [Wish::SignWithOne, Wish::SignWithOne, Wish::SignWithAll, Wish::Refresh, Wish::Resume];
    let (wish, asker, victim) =
        (seed.one_of(&wishes), seed.one_of(&[0, 1, 2]), seed.one_of(&[0, 1, 2]));
    let restart = Fate::Killed(seed.one_of(&[1, 4, 40]));
    let fate = seed.one_of(&[Fate::Spared, Fate::HungUp, Fate::Silenced, restart]);
    let moment = Duration::from_millis(seed.one_of(&[400, 3_000, 30_000])).as_millis();
    let moment = Duration::from_millis(seed.below(u64::try_from(moment).unwrap()));

    let began = Instant::now();
    let granting = grant(&world, wish, asker, &mut seed);
    sleep(moment).await;
    world.suffers(victim, fate).await;
    // A device that died asks no more.
    if matches!(fate, Fate::Killed(_)) && victim == asker {
        granting.abort();
    } else {
        let ended = timeout(LIMIT, granting).await;
        let ended = ended.unwrap_or_else(|_| panic!("{wish:?} did not end in {LIMIT:?}")).unwrap();
        let undisturbed = fate == Fate::Spared && world.network.broken() == 0;
        assert!(ended.is_ok() || !undisturbed, "{wish:?} without misfortune: {ended:?}");
        assert!(began.elapsed() < LIMIT);
    }
    world.network.heal();
    world.all().for_each(|owner| world.owner_takes(owner, Duration::ZERO));
    // Running tasks end by their own limits.
    sleep(LIMIT).await;
    is_well(&world).await;
}

fn live_all(numbers: impl Iterator<Item = u64>) {
    for number in numbers {
        let _named = Named(number);
        run(live(number));
    }
}

// Two tests, for two processors.
#[test]
fn whatever_happens_it_ends_and_every_two_sign_afterwards() {
    live_all(seeds(1000).filter(|number| number % 2 == 0));
}

#[test]
fn whatever_happens_it_ends_and_every_two_sign_afterwards_in_odd_worlds() {
    live_all(seeds(1000).filter(|number| number % 2 == 1));
}

#[test]
fn a_connection_that_breaks_once_costs_no_signature() {
    for number in seeds(300) {
        let _named = Named(number);
        run(async {
            let mut seed = Seed::new(number);
            let delay = Duration::from_millis(seed.one_of(&[1, 20, 100]));
            let world = World::new(&mut seed, Conditions { delay, breaks: 150, at_most: 1 });
            let (asker, wait) = (seed.one_of(&[0, 1, 2]), seed.one_of(&[0, 3, 20]));
            world
                .others(asker)
                .iter()
                .for_each(|o| world.owner_takes(*o, Duration::from_secs(wait)));
            let wish = seed.one_of(&[Wish::SignWithOne, Wish::SignWithAll]);
            let granted = grant(&world, wish, asker, &mut seed).await.unwrap();
            assert!(granted.is_ok(), "{wish:?} of {}: {granted:?}", NAMES[asker]);
        });
    }
}

/// Also while it is resumed: a caller that is back may be gone again before it has heard that.
#[test]
fn connections_that_break_again_and_again_cost_no_signature() {
    for number in seeds(100) {
        let _named = Named(number);
        run(async {
            let mut seed = Seed::new(number);
            let delay = Duration::from_millis(seed.one_of(&[1, 20, 100]));
            let world = World::new(&mut seed, Conditions { delay, breaks: 250, at_most: 6 });
            let (asker, wait) = (seed.one_of(&[0, 1, 2]), seed.one_of(&[0, 3, 20]));
            world
                .others(asker)
                .iter()
                .for_each(|o| world.owner_takes(*o, Duration::from_secs(wait)));
            let granted = grant(&world, Wish::SignWithOne, asker, &mut seed).await.unwrap();
            assert!(granted.is_ok(), "{}: {granted:?}", NAMES[asker]);
        });
    }
}

/// The ended request holds no lock on the key any more, so a new one is not told `busy`.
#[test]
fn a_device_that_died_in_a_signature_and_asks_anew_does_not_wait_for_itself() {
    run(async {
        let mut seed = Seed::new(4);
        let mut world = World::new(&mut seed, Conditions::default());
        for _ in 0..5 {
            let spent = world.ledger(1).height(&world.epoch(KEY));
            let signing = tokio::spawn(world.sign(0, &[1]));
            while world.ledger(1).height(&world.epoch(KEY)) == spent {
                tokio::task::yield_now().await;
            }
            world.crash(0);
            signing.abort();
            world.wake(0);
            let began = Instant::now();
            let signed = world.sign(0, &[1]).await;
            assert!(signed.is_ok(), "{signed:?}");
            assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        }
    });
}

/// A device that waits for another one is in no check.
#[test]
fn devices_that_are_killed_again_and_again_while_they_wait_wear_no_pair_out() {
    run(async {
        let mut seed = Seed::new(3);
        let mut world = World::new(&mut seed, Conditions::default());
        for _ in 0..2 * MAX_UNRESOLVED {
            let signing = tokio::spawn(world.sign(0, &[1]));
            while world.ledger(1).height(&world.epoch(KEY))
                == world.ledger(0).height(&world.epoch(KEY))
                && !signing.is_finished()
            {
                tokio::task::yield_now().await;
            }
            world.crash(1);
            signing.abort();
            world.wake(1);
            sleep(Duration::from_secs(60)).await;
        }
        assert!(world.sign(0, &[1]).await.is_ok());
    });
}
