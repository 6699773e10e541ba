#!/usr/bin/env bash
# The tests on Debian trixie (Python 3.13, OpenSSL 3.5), in a folder below which it is set up.
# As root; needs debootstrap, Debian's mirror and a package index, some 700 MB and ten minutes.
#
#   tests/trixie.sh FOLDER [PYTEST ARGUMENT...]
#
# A folder that holds such a system already is used again.
set -eu -o pipefail

folder=${1:?which folder?}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What is mounted below stays with this process, however that ends.
if [ -z "${TRIXIE_APART:-}" ]; then
    TRIXIE_APART=1 exec unshare --mount "$here/tests/trixie.sh" "$@"
fi
shift

# How this machine reaches Debian's mirror and a package index is its own affair.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' |
    head -n 1) || true
if [ ! -x "$folder/usr/bin/python3.13" ]; then
    debootstrap --variant=minbase \
        --include=python3-venv,python3-dev,gcc,libc6-dev,openssl,ca-certificates \
        trixie "$folder" ${mirror:+"$mirror"}
fi
for file in /etc/resolv.conf /etc/pip.conf "$HOME/.config/pip/pip.conf" "${SSL_CERT_FILE:-}"; do
    if [ -f "$file" ]; then install -D -m 644 "$file" "$folder$file"; fi
done
mount -t proc proc "$folder/proc"
mount --rbind /dev "$folder/dev" # the command line's tests open terminals

rm -rf "$folder/pinsock"
mkdir "$folder/pinsock"
git -C "$here" ls-files -z --cached --others --exclude-standard |
    (cd "$here" && while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
        tar --create --null --files-from=-) | tar --extract --directory="$folder/pinsock"

chroot "$folder" /bin/bash -e -c '
    unset TMPDIR
    cd /pinsock
    [ -x /environment/bin/python ] || python3 -m venv /environment
    /environment/bin/pip install --quiet -e ".[test]"
    env -u SSL_CERT_FILE -u SSL_CERT_DIR /environment/bin/python -c "
import ssl, sys, pinsock
print(sys.version.split()[0], ssl.OPENSSL_VERSION, pinsock.BACKEND)"
    env -u CI /environment/bin/python -m pytest "$@"
' bash "$@"
