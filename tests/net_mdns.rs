//! Discovery between two processes, with real packets on the loopback interface.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use cosign::net::mdns::{Advert, AdvertInfo, Browser, Seen, Status, browse, find};

const LO: Option<&str> = Some("lo");
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

/// A device id that no other test, and no other run of this one, uses.
fn fresh_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(0))
}

fn info(id: &str, name: &str) -> AdvertInfo {
    AdvertInfo { id: id.to_owned(), name: name.to_owned(), port: 7001, status: Status::Available }
}

/// Another process that announces a device until told otherwise.
struct Neighbour {
    process: Child,
    orders: Option<ChildStdin>,
}

impl Neighbour {
    fn start(id: &str, name: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_other_process", "--nocapture"])
            .env("COSIGN_TEST_ID", id)
            .env("COSIGN_TEST_NAME", name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let orders = process.stdin.take();
        Self { process, orders }
    }

    fn become_busy(&mut self) {
        self.orders.as_mut().unwrap().write_all(b"b").unwrap();
    }

    fn leave(&mut self) {
        self.orders = None;
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.leave();
        self.process.wait().unwrap();
    }
}

/// Not a test of its own: what runs in the other process.
#[test]
fn the_other_process() {
    let (Ok(id), Ok(name)) = (std::env::var("COSIGN_TEST_ID"), std::env::var("COSIGN_TEST_NAME"))
    else {
        return;
    };
    let mut advert = Advert::start(info(&id, &name), LO).unwrap();
    for _ in std::io::stdin().lock().bytes() {
        advert.set_status(Status::Busy).unwrap();
    }
}

async fn next_of(browser: &mut Browser, id: &str) -> Seen {
    let watching = async {
        loop {
            let seen = browser.next().await;
            if seen.id == id {
                return seen;
            }
        }
    };
    tokio::time::timeout(LONG, watching).await.expect("nothing was noticed")
}

#[tokio::test]
async fn another_process_is_found_by_its_id() {
    let id = fresh_id();
    let _neighbour = Neighbour::start(&id, "Bøb's desk");
    let seen = find(&id, LONG, LO).await.expect("not found");
    assert_eq!(seen.name.as_str(), "Bøb's desk");
    assert_eq!((seen.port, seen.status), (7001, Status::Available));
    assert!(seen.addresses.contains(&"127.0.0.1:7001".parse().unwrap()), "{seen:?}");
}

#[tokio::test]
async fn a_status_change_is_noticed() {
    let id = fresh_id();
    let mut browser = Browser::start(LO).unwrap();
    let mut neighbour = Neighbour::start(&id, "bob");
    assert_eq!(next_of(&mut browser, &id).await.status, Status::Available);
    neighbour.become_busy();
    while next_of(&mut browser, &id).await.status != Status::Busy {}
}

#[tokio::test]
async fn every_announcement_of_an_id_is_told() {
    let id = fresh_id();
    let mut browser = Browser::start(LO).unwrap();
    let ports = 7001..=7020;
    let _many: Vec<Advert> = ports
        .clone()
        .map(|port| Advert::start(AdvertInfo { port, ..info(&id, "bob") }, LO).unwrap())
        .collect();
    let mut missing: std::collections::BTreeSet<u16> = ports.collect();
    while !missing.is_empty() {
        missing.remove(&next_of(&mut browser, &id).await.port);
    }
}

#[tokio::test]
async fn two_devices_of_one_name_are_both_seen() {
    let (one, two) = (fresh_id(), fresh_id());
    let _first = Neighbour::start(&one, "same name");
    let _second = Advert::start(info(&two, "same name"), LO).unwrap();
    assert!(find(&one, LONG, LO).await.is_some());
    assert!(find(&two, LONG, LO).await.is_some());
}

#[tokio::test]
async fn a_device_does_not_count_itself() {
    let (own, other) = (fresh_id(), fresh_id());
    let _own = Advert::start(info(&own, "me"), LO).unwrap();
    let _other = Advert::start(info(&other, "you"), LO).unwrap();
    assert!(find(&other, LONG, LO).await.is_some());
    assert!(!browse(Duration::from_secs(1), &own, LO).await.contains(&own));
}

#[tokio::test]
async fn where_nothing_gets_through_nobody_is_found_and_nothing_fails() {
    let nowhere = Some("no-such-interface");
    let _advert = Advert::start(info(&fresh_id(), "bob"), nowhere).unwrap();
    assert!(browse(SHORT, "", nowhere).await.is_empty());
    assert_eq!(find(&fresh_id(), SHORT, nowhere).await, None);
}
