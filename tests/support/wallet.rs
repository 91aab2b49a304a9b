//! A watch-only wallet, which knows a key's descriptor and makes payments.

use std::str::FromStr as _;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::psbt::Psbt;
use bitcoin::transaction::Version;
use bitcoin::{Address, Amount, Network, OutPoint, Sequence, Transaction, TxIn, TxOut, Txid};
use miniscript::psbt::PsbtExt as _;
use miniscript::{DefiniteDescriptorKey, Descriptor, DescriptorPublicKey};

use crate::device::Device;

pub(crate) const COIN: u64 = 100_000_000;
pub(crate) const STRANGER: &str = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";

/// A wallet that knows the descriptor alone.
pub(crate) struct Wallet {
    receiving: Descriptor<DescriptorPublicKey>,
    change: Descriptor<DescriptorPublicKey>,
}

impl Wallet {
    pub(crate) fn of(device: &Device) -> Self {
        let export = ["keys", "export", "vault", "--format", "descriptor"];
        let output = device.command(export).output().unwrap();
        Self::described(String::from_utf8(output.stdout).unwrap().trim())
    }

    /// The wallet of this output descriptor.
    pub(crate) fn described(descriptor: &str) -> Self {
        let both = Descriptor::<DescriptorPublicKey>::from_str(descriptor).unwrap();
        let [receiving, change] = both.into_single_descriptors().unwrap().try_into().unwrap();
        Self { receiving, change }
    }

    /// The address to which this wallet receives its coin number `index`.
    pub(crate) fn receives(&self, index: u32) -> String {
        let address = Self::at(&self.receiving, index).address(Network::Bitcoin).unwrap();
        address.to_string()
    }

    fn at(of: &Descriptor<DescriptorPublicKey>, index: u32) -> Descriptor<DefiniteDescriptorKey> {
        of.at_derivation_index(index).unwrap()
    }

    /// A payment of this much of as many coins of 1 BTC, the rest less 10,000 satoshis as change.
    pub(crate) fn pays(&self, satoshis: u64, coins: u32) -> Psbt {
        let before = |n: u32| Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(Txid::all_zeros(), n),
                ..TxIn::default()
            }],
            output: vec![TxOut {
                value: Amount::from_sat(COIN),
                script_pubkey: Self::at(&self.receiving, n).script_pubkey(),
            }],
        };
        let change = Self::at(&self.change, 3);
        let stranger =
            Address::from_str(STRANGER).unwrap().require_network(Network::Bitcoin).unwrap();
        let rest = COIN * u64::from(coins) - satoshis - 10_000;
        let outputs = [(stranger.script_pubkey(), satoshis), (change.script_pubkey(), rest)];
        let mut psbt = Psbt::from_unsigned_tx(Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: (0..coins)
                .map(|n| TxIn {
                    previous_output: OutPoint::new(before(n).compute_txid(), 0),
                    sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                    ..TxIn::default()
                })
                .collect(),
            output: outputs
                .map(|(script_pubkey, satoshis)| TxOut {
                    value: Amount::from_sat(satoshis),
                    script_pubkey,
                })
                .to_vec(),
        })
        .unwrap();
        for n in 0..coins {
            let index = usize::try_from(n).unwrap();
            psbt.inputs[index].non_witness_utxo = Some(before(n));
            psbt.inputs[index].witness_utxo = Some(before(n).output[0].clone());
            psbt.update_input_with_descriptor(index, &Self::at(&self.receiving, n)).unwrap();
        }
        psbt.update_output_with_descriptor(1, &change).unwrap();
        psbt
    }
}
