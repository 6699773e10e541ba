#!/usr/bin/env bash
# The tests on Debian trixie (Python 3.13, OpenSSL 3.5), in a folder below which it is set up.
# As root; needs debootstrap, Debian's mirror and a package index, some 700 MB and ten minutes.
#
#   tests/trixie.sh FOLDER [PYTEST ARGUMENT...]
#
# A folder that holds such a system already is used again.
set -eu -o pipefail

folder=${1:?which folder?}
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ ! -x "$folder/usr/bin/python3.13" ]; then
    debootstrap --variant=minbase \
        --include=python3-venv,python3-dev,gcc,libc6-dev,openssl,ca-certificates trixie "$folder"
fi
# How this machine reaches a package index is its own affair.
for file in /etc/resolv.conf /etc/pip.conf "${SSL_CERT_FILE:-}"; do
    [ -f "$file" ] && install -D -m 644 "$file" "$folder$file"
done
mountpoint -q "$folder/proc" || mount -t proc proc "$folder/proc"

trap 'umount -l "$folder/proc"' EXIT

rm -rf "$folder/pinsock"
mkdir "$folder/pinsock"
git -C "$here" ls-files -z --cached --others --exclude-standard |
    (cd "$here" && while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
        tar --create --null --files-from=-) | tar --extract --directory="$folder/pinsock"

chroot "$folder" /bin/bash -e -c '
    cd /pinsock
    [ -x /environment/bin/python ] || python3 -m venv /environment
    /environment/bin/pip install --quiet -e ".[test]"
    env -u SSL_CERT_FILE -u SSL_CERT_DIR /environment/bin/python -c "
import ssl, sys, pinsock
print(sys.version.split()[0], ssl.OPENSSL_VERSION, pinsock.BACKEND)"
    env -u CI /environment/bin/python -m pytest "$@"
' bash "$@"
