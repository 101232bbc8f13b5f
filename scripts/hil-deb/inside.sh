#!/usr/bin/env bash
# Runs in the container as the service of deb.sh: installs the package as a technician would, makes the unit a camera, and takes both away
# again. Writes a line for each check into /var/candor-deb/outcome. /hil is the folder of the cloud outside, with the packages.
set -uo pipefail
mkdir -p /var/candor-deb

outcome() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>/var/candor-deb/outcome; }
# What decides is in `held`: $? would be that of the command that says what was seen.
check() { # WHAT SEEN
  if [ "$held" -eq 0 ]; then outcome ok "$1" "$2"; else outcome FAIL "$1" "$2"; fi
}
show() { systemctl show -P "$1" candor-edge; }
seen() { cat /hil/seen; }
until_true() { # SECONDS COMMAND…
  local limit=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$limit" ] || return 1
    sleep 1
  done
}
more_than() { [ "$(seen | cut -d ' ' -f 1)" -gt "$1" ]; }
runs() { [ "$(seen | cut -d ' ' -f 3)" = "$1" ]; }
install_package() { dpkg --install "/hil/$1" >>/var/candor-deb/dpkg 2>&1; }

started=$SECONDS
install_package first.deb; held=$?
check 'the package is installed' "$((SECONDS - started)) s"
[ "$(systemctl is-enabled candor-edge)" = enabled ] && [ "$(show ActiveState)" = inactive ]; held=$?
check 'what is no camera yet is not started' "$(show ActiveState)"

systemctl start candor-setup.timer
until_true 60 sh -c 'journalctl --no-pager -o cat -u candor-setup | grep -q "certificate SHA-256"'; held=$?
check 'the set-up page opens for a phone' "$(ss -H -tln | awk '{print $4}' | grep -c ':8443$') addresses"
systemctl stop candor-setup.service; held=$?
check 'and is closed' "$(ss -H -tln | awk '{print $4}' | grep -c ':8443$') addresses"

started=$SECONDS
candor enrol --claim /hil/claim.json --out /etc/candor-edge --frames /hil/pictures >/var/candor-deb/enrol 2>&1; held=$?
check 'it becomes a camera by its claim' "$((SECONDS - started)) s"
sed -i 's/"source": {/"assumeClockSynced": true, "track": {"repeatWindowMs": 0}, "source": {"loop": true, "framesPerSecond": 1,/' /etc/candor-edge/edge.json
candor doctor --config /etc/candor-edge/edge.json >/var/candor-deb/doctor 2>&1; held=$?
check 'candor doctor finds it ready' "$(grep -c . /var/candor-deb/doctor) lines"
[ "$(stat -c %a /etc/candor-edge)" = 700 ] && [ "$(stat -c '%a %U' /etc/candor-edge/key.pem)" = '600 root' ]; held=$?
check 'its key is for root alone' "$(stat -c '%a %U' /etc/candor-edge/key.pem)"

systemctl start candor-edge
until_true 120 more_than 3; held=$?
check 'sightings arrive' "$(seen)"
[ "$(ps -o user= -p "$(show MainPID)")" = candor-edge ]; held=$?
check 'it runs as a user of its own' "$(ps -o user= -p "$(show MainPID)")"
[ "$(ss -H -tlnp | grep -c "pid=$(show MainPID),")" -eq 0 ]; held=$?
check 'it listens on no port' "$(ss -H -tlnp | grep -c "pid=$(show MainPID),")"
rating="$(systemd-analyze security --no-pager candor-edge.service | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')"
awk "BEGIN { exit !($rating <= 2.0) }"; held=$?
check 'exposure of 2.0 or less, with the devices of cameras open' "$rating"

before="$(seen | cut -d ' ' -f 1)"
install_package second.deb
until_true 60 runs "$(cat /hil/second)"; held=$?
check 'a newer package takes over while it runs' "$(seen)"
until_true 60 more_than "$before"; held=$?
check 'sightings arrive again' "$(seen)"
[ "$(seen | cut -d ' ' -f 2)" -eq 0 ]; held=$?
check 'none is held twice' "$(seen)"

dpkg --remove candor-unit >>/var/candor-deb/dpkg 2>&1
[ ! -e /opt/candor ] && [ -e /etc/candor-edge/key.pem ] && [ "$(show ActiveState)" != active ]; held=$?
check 'removed, it stops and remains the camera that it was' "$(show ActiveState)"
dpkg --purge candor-unit >>/var/candor-deb/dpkg 2>&1
[ ! -e /etc/candor-edge ] && [ ! -e /var/lib/private/candor-edge ] && [ ! -e /var/lib/candor-edge ]; held=$?
check 'purged, nothing of the camera is left' "$(ls -d /etc/candor-edge /var/lib/private/candor-edge 2>/dev/null | wc -l) folders"
journalctl --no-pager -o cat -u candor-edge -u candor-setup >/var/candor-deb/journal
poweroff
