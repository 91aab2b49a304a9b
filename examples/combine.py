#!/usr/bin/env python3
"""The private key, as 64 hexadecimal digits, from the shares or backups of as many parties as must sign,
without cosign: afterwards the key exists, and whoever has it signs alone. `age -d` opens a backup
(docs/backup.md); how to get a share out of a home stands in docs/vault.md §2, what is in it in
docs/protocol.md §3.6, and the sum in §8.3.

    combine.py SHARE SHARE.."""
import sys

P, N = 2**256 - 2**32 - 977, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = bytes.fromhex("0279BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798")


def add(a, b):
    if not a or not b:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    rise, run = (3 * a[0] ** 2, 2 * a[1]) if a == b else (b[1] - a[1], b[0] - a[0])
    slope = rise * pow(run, -1, P) % P
    x = (slope**2 - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, point):  # not in constant time
    x = int.from_bytes(point[1:], "big")
    y = pow(x**3 + 7, (P + 1) // 4, P)
    power, total = (x, y if y % 2 == point[0] % 2 else P - y), None
    for bit in range(256):
        total, power = add(total, power) if k >> bit & 1 else total, add(power, power)
    return total and bytes([2 + total[1] % 2]) + total[0].to_bytes(32, "big")


def read(path):
    share = open(path, "rb").read()
    if share.startswith(b"cosign-backup/1\n"):
        share = bytes.fromhex(share.split(b"\nshare ")[1].decode())
    assert share[:14] in (b"cosign-share/1", b"cosign-share/2"), f"{path} is no share"
    t, n, i = share[14:17]
    y, public = int.from_bytes(share[52:84], "big"), share[84 : 84 + 33 * (n + 1) + 32]
    assert times(y, G) == public[33 * i : 33 * (i + 1)], f"{path} is damaged"
    return i, y, (t, n, share[20:52], public)


shares = [read(path) for path in sys.argv[1:]]
parties, publics = {i for i, _, _ in shares}, {public for _, _, public in shares}
assert len(publics) == 1 and len(parties) == len(shares), "not shares of different parties of one epoch"
((t, _, _, public),) = publics
assert len(shares) >= t, f"{t} shares are needed"
x = 0
for i, y, _ in shares[:t]:
    for j, _, _ in shares[:t]:
        y = y * j * pow(j - i, -1, N) % N if j != i else y
    x = (x + y) % N
assert times(x, G) == public[:33], "these shares do not make the key"
print(f"{x:064x}")
