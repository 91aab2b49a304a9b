//! Devices that make keys together, and listen.

use std::path::PathBuf;
use std::process::Command;

use crate::device::{Device, Listener, introduce};
use crate::openssl::is_satisfied;

/// Devices that know each other and listen, and let a rule approve whatever the others ask for.
pub(crate) struct Group {
    pub(crate) devices: Vec<Device>,
    pub(crate) listeners: Vec<Option<Listener>>,
    pem: PathBuf,
}

/// The rules by which a device allows all that these peers ask for, a reshare and an import too.
pub(crate) fn rules(peers: &[&str]) -> String {
    let rule = |peer: &&str| {
        format!(
            "[[rule]]\npeer = {peer:?}\naction = \"allow\"\n\
             [[rule]]\npeer = {peer:?}\nceremony = \"reshare\"\naction = \"allow\"\n\
             [[rule]]\npeer = {peer:?}\nceremony = \"import\"\naction = \"allow\"\n"
        )
    };
    peers.iter().map(rule).collect()
}

impl Group {
    /// Devices of these names, without a key.
    pub(crate) fn without_key(names: &[&str]) -> Self {
        let devices: Vec<Device> = names.iter().map(|name| Device::new(name)).collect();
        introduce(&devices.iter().collect::<Vec<_>>());
        let listeners = devices.iter().map(|_| None).collect();
        let mut group = Self { devices, listeners, pem: PathBuf::new() };
        names.iter().for_each(|name| group.wakes(name));
        group
    }

    /// Devices of these names; the first of them have the key `vault`.
    pub(crate) fn new(names: &[&str], parties: usize, threshold: &str) -> Self {
        Self::on("secp256k1", names, parties, threshold)
    }

    /// The same, with a key on this curve.
    pub(crate) fn on(curve: &str, names: &[&str], parties: usize, threshold: &str) -> Self {
        let mut group = Self::without_key(names);
        let with = names[1..parties].join(",");
        let keygen = ["keygen", "--key", "vault", "--threshold", threshold, "--with", &with];
        let made = group.of(names[0]).run([&keygen[..], &["--curve", curve]].concat()).succeeds();
        assert_eq!(made["curve"], curve);
        group.exports(names[0]);
        group
    }

    /// Signatures are of the key `vault` that this device has.
    pub(crate) fn exports(&mut self, name: &str) {
        self.pem = self.of(name).path("vault.pem");
        let file = self.pem.to_str().unwrap();
        self.of(name).run(["keys", "export", "vault", "-o", file]).succeeds();
    }

    pub(crate) fn at(&self, name: &str) -> usize {
        self.devices.iter().position(|device| device.name == name).unwrap()
    }

    pub(crate) fn of(&self, name: &str) -> &Device {
        &self.devices[self.at(name)]
    }

    /// The device listens, and the others know where.
    pub(crate) fn wakes(&mut self, name: &str) {
        let at = self.at(name);
        let device = &self.devices[at];
        let peers = self.devices.iter().map(|peer| peer.name.as_str()).filter(|peer| *peer != name);
        device.policy(&rules(&peers.collect::<Vec<_>>()));
        let listener = device.listen(&["--policy", "policy.toml"]);
        let (print, address) = (device.fingerprint(), listener.address());
        for other in self.devices.iter().filter(|other| other.name != name) {
            let add = ["peers", "add", name, "--fingerprint", &print, "--address", &address];
            other.run(add).succeeds();
        }
        self.listeners[at] = Some(listener);
    }

    /// The device does not listen any more.
    pub(crate) fn sleeps(&mut self, name: &str) {
        let at = self.at(name);
        self.listeners[at] = None;
    }

    /// Every one of these quorums signs under the key, each with its first device as the one that asks.
    #[track_caller]
    pub(crate) fn sign(&self, quorums: &[&[&str]]) {
        for quorum in quorums {
            let digest = hex::encode(rand::random::<[u8; 32]>());
            let with = quorum[1..].join(",");
            let sign = ["sign", &digest, "--key", "vault", "--with", &with];
            let signed = self.of(quorum[0]).run(sign).succeeds();
            is_satisfied(&signed, &self.pem, &digest);
        }
    }

    /// A copy of the device as it is now, as somebody has it who took its disk.
    pub(crate) fn copy(&self, name: &str) -> Device {
        let (device, copy) = (self.of(name), Device::blank(name));
        for what in ["home", "key.txt"] {
            let done =
                Command::new("cp").arg("-a").arg(device.path(what)).arg(copy.path("")).status();
            assert!(done.unwrap().success());
        }
        copy
    }
}
