#!/usr/bin/env bash
# A JSON Web Token signed by two devices (ES256K, RFC 8812), checked by a JOSE library and by openssl.
. "$(dirname "$0")/devices.sh"
need_python jwcrypto python3-jwcrypto

device alice
device bob
introduce alice bob
printf '[[rule]]\npeer = "alice"\naction = "allow"\n' >"$work/policy.toml"
listen bob "$work/policy.toml"
as alice keygen --key issuer --with bob --peer "$address" >/dev/null
as alice keys export issuer --format jwk -o "$work/issuer.jwk"

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
header=$(printf '{"alg":"ES256K","typ":"JWT"}' | base64url)
payload=$(jq -cjn '{iss: "two devices", sub: "anybody", iat: 1767225600}' | base64url)

# The signature of a JWS is r and s, 64 bytes, over the SHA-256 of what stands before it.
signature=$(printf %s "$header.$payload" |
    as alice sign --key issuer --file - --purpose "a token" --peer "$address" --format compact |
    base64url)
token=$header.$payload.$signature
say "$token"

say "checked by jwcrypto"
/usr/bin/python3 - "$work/issuer.jwk" "$token" <<'CHECK'
import sys
from jwcrypto import jwk, jws

key = jwk.JWK.from_json(open(sys.argv[1]).read())
token = jws.JWS()
token.allowed_algs = ["ES256K"]
token.deserialize(sys.argv[2], key)
print(token.payload.decode())
tampered = jws.JWS()
tampered.allowed_algs = ["ES256K"]
head, _, tail = sys.argv[2].split(".")
try:
    tampered.deserialize(head + ".e30." + tail, key)
except jws.InvalidJWSSignature:
    print("another payload is refused")
else:
    sys.exit("another payload was accepted")
CHECK
