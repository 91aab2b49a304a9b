#!/usr/bin/python3
"""A watch-only wallet: Electrum's library, off line, with a descriptor and no private key.

    wallet.py addresses DESCRIPTOR            its first three addresses, one a line
    wallet.py pay DESCRIPTOR ADDRESS FILE     writes a payment of 0.25 BTC to ADDRESS as a PSBT
    wallet.py finish DESCRIPTOR FILE          checks the signatures of the PSBT, prints the transaction

The wallet is told that it has received 1 BTC, as the server of a wallet on line would tell it.
"""
import asyncio
import sys
import tempfile

from electrum import bip32, ecc, util
from electrum.bitcoin import hash_160
from electrum.crypto import sha256d
from electrum.simple_config import SimpleConfig
from electrum.transaction import (PartialTransaction, PartialTxOutput, Transaction, TxInput,
                                  TxOutpoint)
from electrum.wallet import restore_wallet_from_text


def watch_only(descriptor, folder):
    xpub = descriptor.split("]")[1].split("/")[0]
    zpub = bip32.BIP32Node.from_xkey(xpub)._replace(xtype="p2wpkh").to_xpub()
    config = SimpleConfig({"electrum_path": folder, "offline": True})
    restored = restore_wallet_from_text(zpub, path=folder + "/wallet", config=config, gap_limit=5)
    own = restored["wallet"]
    assert own.is_watching_only()
    output = PartialTxOutput.from_address_and_value(own.get_receiving_addresses()[0], 100_000_000)
    received = PartialTransaction.from_io([], [output], locktime=0, version=2)
    spent = TxOutpoint(txid=b"\1" * 32, out_idx=0)
    received._inputs = [TxInput(prevout=spent, script_sig=b"", nsequence=0xFFFFFFFE)]
    raw = received.serialize_to_network(include_sigs=True)
    own.adb.add_transaction(Transaction(raw), allow_unrelated=True)
    return own


def pay(own, address, path):
    output = PartialTxOutput.from_address_and_value(address, 25_000_000)
    coins = own.get_spendable_coins()
    payment = own.make_unsigned_transaction(coins=coins, outputs=[output], fee=1_000)
    payment.add_info_from_wallet(own)
    with open(path, "wb") as file:
        file.write(payment.serialize_as_bytes())


def finish(own, path):
    with open(path, "rb") as file:
        payment = PartialTransaction.from_raw_psbt(file.read())
    for index, spent in enumerate(payment.inputs()):
        own.add_input_info(spent)
        digest = sha256d(bytes.fromhex(payment.serialize_preimage(index)))
        [(key, signature)] = spent.part_sigs.items()
        assert hash_160(key) == spent.witness_utxo.scriptpubkey[2:], "another key"
        der, kind = signature[:-1], signature[-1]
        assert kind == 1, "not over the whole payment"
        numbers = ecc.sig_string_from_der_sig(der)
        assert ecc.ECPubkey(key).verify_message_hash(numbers, digest), "the signature is invalid"
    payment.finalize_psbt()
    assert payment.is_complete()
    transaction = Transaction(payment.serialize_to_network())
    own.adb.add_transaction(transaction, allow_unrelated=True)
    _, left, _ = own.get_balance()
    assert left == 100_000_000 - 25_000_000 - 1_000, left
    print(transaction.serialize())


async def main():
    command, descriptor, *rest = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        own = watch_only(descriptor, folder)
        if command == "addresses":
            print("\n".join(own.get_receiving_addresses()[:3]))
        else:
            {"pay": pay, "finish": finish}[command](own, *rest)


loop = asyncio.new_event_loop()
util._asyncio_event_loop = loop
loop.run_until_complete(main())
