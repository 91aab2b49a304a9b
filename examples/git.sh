#!/usr/bin/env bash
# Commits and tags of git that two people sign: each sees author, tree and message, and stock git and gpg check the signature.
. "$(dirname "$0")/devices.sh"
need git git
need gpg gnupg

device alice
device bob
introduce alice bob

# Bob's machine signs tags of Alice without him, and nothing else but keys and the certificate.
for what in 'ceremony = "keygen"' 'payload = "openpgp-key"' 'payload = "git"'; do
    printf '[[rule]]\npeer = "alice"\n%s\naction = "allow"\n' "$what"
done >"$work/policy.toml"
listen bob "$work/policy.toml"
as alice keygen --key release --with bob --peer "$address" >/dev/null
as alice keys export release --format openpgp --uid 'Release <release@example.org>' \
    --peer "$address" -o "$work/release.asc" >/dev/null

# Whoever checks needs the certificate and gpg, and nothing of cosign.
export GNUPGHOME=$work/gnupg
mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --no-autostart --import "$work/release.asc"

# What git calls to sign. Where the other device is found by itself, a link called cosign-git to the program does.
cat >"$work/sign-with-bob" <<SIGN
#!/bin/sh
export COSIGN_HOME='$work/alice/home' COSIGN_IDENTITY='$work/alice/identity.txt'
exec '$program' --no-input git-sign --with bob --peer '$address' -- "\$@"
SIGN
chmod +x "$work/sign-with-bob"

export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
git init --quiet --initial-branch main "$work/project"
cd "$work/project"
git config user.name Alice
git config user.email alice@example.org
git config gpg.program "$work/sign-with-bob"
git config user.signingKey release

say "a commit and a tag"
echo "1.2" >version
git add version
git commit --quiet -S -m "Version 1.2"
git tag -s v1.2 -m "Release 1.2"
git log --show-signature -1
git verify-tag v1.2

say "the same tag with another name is refused"
git cat-file tag v1.2 | sed 's/^tag v1.2/tag v9.9/' >altered
if git verify-tag "$(git hash-object -t tag -w altered)"; then
    echo "an altered tag was accepted" >&2
    exit 1
fi
say "as it should be"
