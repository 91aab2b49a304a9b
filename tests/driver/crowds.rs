//! Two to five devices that ask each other at random times, each with an owner or a rule. Every
//! request ends as it must, and no honest device is accused, whatever a dishonest member of the
//! group does.

use std::collections::BTreeSet;
use std::time::Duration;

use cosign::driver::error::Error;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::liars::{VICES, misbehave};
use crate::network::Conditions;
use crate::seed::Seed;
use crate::world::{Fate, Group, NAMES, World, run};
use crate::worlds::{Named, seeds};

/// No request takes longer than all limits of the driver together.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// A signature of as many as it takes.
    Sign,
    /// A signature of all.
    SignWithAll,
    /// New shares.
    Refresh,
}

/// A request under way.
struct Asked {
    wish: Wish,
    asker: usize,
    ended: JoinHandle<Result<(), Error>>,
}

/// So many of `all`, at random.
fn choose(all: &[usize], count: usize, seed: &mut Seed) -> Vec<usize> {
    let (mut left, mut chosen) = (all.to_vec(), Vec::new());
    while chosen.len() < count {
        let at = usize::try_from(seed.below(left.len() as u64)).unwrap();
        chosen.push(left.swap_remove(at));
    }
    chosen
}

/// One crowd, by its seed.
struct Crowd {
    world: World,
    /// Those that keep to the protocol.
    honest: Vec<usize>,
    seed: Seed,
}

impl Crowd {
    fn ask(&mut self, wishes: &[Wish]) -> Asked {
        let (wish, asker) = (self.seed.one_of(wishes), self.seed.one_of(&self.honest));
        let world = &self.world;
        let others: Vec<usize> = self.honest.iter().copied().filter(|o| *o != asker).collect();
        let ended = match wish {
            Wish::Sign => {
                let signers = choose(&others, world.threshold() - 1, &mut self.seed);
                world.signing(asker, &signers)
            }
            Wish::SignWithAll => world.signing(asker, &world.others(asker)),
            Wish::Refresh => {
                let refreshing = world.refresh(asker);
                tokio::spawn(async { refreshing.await.map(drop) })
            }
        };
        Asked { wish, asker, ended }
    }

    /// No honest device accused another, no session was spent twice, and every log is whole.
    fn is_just(&self) {
        let world = &self.world;
        let fingerprints = self.honest.iter().map(|number| world.fingerprint(*number).to_hex());
        let fingerprints: BTreeSet<String> = fingerprints.collect();
        for number in &self.honest {
            let name = NAMES[*number];
            world.log_is_whole(*number);
            for entry in world.entries(*number) {
                let among_us = entry.peer.split(',').all(|peer| fingerprints.contains(peer));
                let accuses = ["banned", "worn", "rolled_back", "cheated", "internal"];
                let accuses = accuses.contains(&entry.outcome.as_str());
                assert!(!among_us || !accuses, "{name}: {entry:?}");
            }
            let ledger = world.ledger(*number);
            for record in cosign::vault::keys::list(&world.node(*number).home).unwrap() {
                for (party, code) in ledger.retired(&record.epoch) {
                    let party = record.parties.iter().find(|known| known.index.get() == party);
                    let fingerprint = party.unwrap().fingerprint.to_hex();
                    assert!(!fingerprints.contains(&fingerprint), "{name}: {code} of {party:?}");
                }
            }
            let spent = world.spent(*number);
            assert_eq!(spent.iter().collect::<BTreeSet<_>>().len(), spent.len(), "{name}");
        }
    }
}

async fn live(number: u64) {
    let mut seed = Seed::new(number);
    let size = 2 + usize::try_from(seed.below(4)).unwrap();
    let threshold = 2 + u8::try_from(seed.below(size as u64 - 1)).unwrap();
    let group = Group { size, threshold };
    let conditions = Conditions {
        delay: Duration::from_millis(seed.one_of(&[0, 5, 50])),
        breaks: seed.one_of(&[0, 0, 0, 20]),
        at_most: seed.one_of(&[1, 4]),
    };
    let mut world = World::of(group, &mut seed, conditions);
    let has_liar = size > usize::from(threshold) && seed.below(2) == 0;
    let honest: Vec<usize> = if has_liar { (0..size - 1).collect() } else { (0..size).collect() };
    for owner in world.all() {
        world.owner_takes(owner, Duration::from_secs(seed.one_of(&[0, 0, 0, 1, 3, 90, 100_000])));
        if seed.below(3) == 0 {
            world.owner_has_a_rule(owner);
        }
    }
    let vice = seed.one_of(&VICES);
    if has_liar {
        world.put_to_sleep(size - 1);
    }
    let liar = has_liar.then(|| misbehave(&world, size - 1, vice, &mut seed));
    let restart = Fate::Killed(seed.one_of(&[1, 4, 40]));
    let fate = seed.one_of(&[
        Fate::Spared,
        Fate::Spared,
        Fate::Spared,
        Fate::HungUp,
        Fate::Silenced,
        restart,
    ]);
    let victim = seed.one_of(&honest);
    let mut crowd = Crowd { world, honest, seed };
    let wishes: &[Wish] = match has_liar {
        true => &[Wish::Sign],
        false => &[Wish::Sign, Wish::Sign, Wish::Sign, Wish::SignWithAll, Wish::Refresh],
    };
    let mut all = Vec::new();
    for _ in 0..crowd.seed.below(10) + 3 {
        sleep(Duration::from_millis(crowd.seed.one_of(&[0, 0, 10, 700]))).await;
        all.push(crowd.ask(wishes));
    }
    let world = &mut crowd.world;
    if matches!(fate, Fate::Killed(_)) {
        // A device that died asks no more.
        all.extract_if(.., |asked| asked.asker == victim).for_each(|asked| asked.ended.abort());
    }
    world.suffers(victim, fate).await;
    let quick = crowd.honest.iter().all(|owner| world.is_quick(*owner));
    let undisturbed = fate == Fate::Spared && conditions.breaks == 0 && quick;
    for Asked { wish, asker, ended } in all {
        let what = format!("{wish:?} of {} ({group:?}, {vice:?}: {has_liar})", NAMES[asker]);
        let ended = timeout(LIMIT, ended).await;
        let ended = ended.unwrap_or_else(|_| panic!("{what} did not end in {LIMIT:?}")).unwrap();
        if let Err(
            error @ (Error::RolledBackThere { .. }
            | Error::Banned { .. }
            | Error::Worn { .. }
            | Error::Bug(_)),
        ) = &ended
        {
            panic!("{what}: {error:?}");
        }
        // A refresh may find the other one's shares just made, or its name taken by another refresh.
        let must = undisturbed && wish != Wish::Refresh;
        assert!(ended.is_ok() || !must, "{what}: {ended:?}");
    }
    drop(liar);
    let world = &mut crowd.world;
    world.network.heal();
    world.all().for_each(|owner| world.owner_takes(owner, Duration::ZERO));
    sleep(LIMIT).await;
    for asker in crowd.honest.clone() {
        let others: Vec<usize> = crowd.honest.iter().copied().filter(|o| *o != asker).collect();
        let signers = choose(&others, usize::from(threshold) - 1, &mut crowd.seed);
        let signed = crowd.world.sign(asker, &signers).await;
        assert!(signed.is_ok(), "{} and {signers:?} cannot sign: {signed:?}", NAMES[asker]);
    }
    crowd.is_just();
}

#[test]
fn whatever_a_crowd_asks_ends_as_it_must_and_nobody_honest_is_accused() {
    for number in seeds(40) {
        let _named = Named(number);
        run(live(number));
    }
}
