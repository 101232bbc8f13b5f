#!/usr/bin/env bash
# Runs in the container as the service of units.sh, with /opt/candor in place: tries the units and writes a line for each check, "ok" or
# "FAIL", what was tried and what was seen, into /var/candor-units/outcome. Ends by powering the container off.
set -uo pipefail
mkdir -p /var/candor-units

outcome() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>/var/candor-units/outcome; }
# What decides is in `held`: $? would be that of the command that says what was seen.
check() { # WHAT SEEN
  if [ "$held" -eq 0 ]; then outcome ok "$1" "$2"; else outcome FAIL "$1" "$2"; fi
}
show() { systemctl show -P "$2" "candor-$1"; }
stored() { # how many sightings the cloud has, and how many of them more than once
  node --import /opt/candor/node_modules/tsx/dist/loader.mjs /opt/candor/scripts/hil-units/stored.ts /var/lib/private/candor-cloud/candor.db
}
until_true() { # SECONDS COMMAND…
  local limit=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$limit" ] || return 1
    sleep 1
  done
}
more_than() { [ "$(stored | cut -d ' ' -f 1)" -gt "$1" ]; }
restarted() { [ "$(show "$1" NRestarts)" -ge "$2" ] && [ "$(show "$1" ActiveState)" = active ]; }

for unit in cloud edge; do
  started=$SECONDS
  systemctl start "candor-$unit"
  [ "$(show "$unit" ActiveState)" = active ]; held=$?
  check "$unit: says that it is ready" "$((SECONDS - started)) s"
done
until_true 120 more_than 3; held=$?
check 'sightings arrive' "$(stored)"

listening="$(ss -H -tlnp | awk '{print $4, $6}')"
[ "$(printf '%s\n' "$listening" | grep -c node)" -eq 2 ]; held=$?
check 'the cloud listens on two ports, the camera on none' "$(printf '%s' "$listening" | grep node | awk '{print $1}' | tr '\n' ' ')"

for unit in edge cloud; do
  kill -STOP "$(show "$unit" MainPID)"
  stopped=$SECONDS
  until_true 150 restarted "$unit" 1; held=$?
  check "$unit: a process that hangs is started again" "$((SECONDS - stopped)) s"
done
before="$(stored | cut -d ' ' -f 1)"
until_true 120 more_than "$before"; held=$?
check 'sightings arrive again' "$(stored)"
[ "$(stored | cut -d ' ' -f 2)" -eq 0 ]; held=$?
check 'none is stored twice' "$(stored)"

for unit in edge cloud; do
  stopped=$SECONDS
  systemctl stop "candor-$unit"
  [ "$(show "$unit" Result)" = success ]; held=$?
  check "$unit: ends when it is told to" "$((SECONDS - stopped)) s, $(show "$unit" Result)"
done

sed -i 's/"cameraId"/"camera"/' /etc/candor-edge/edge.json
systemctl start candor-edge
sleep 5
[ "$(show edge ActiveState)" = failed ] && [ "$(show edge ExecMainStatus)" -eq 78 ] && [ "$(show edge NRestarts)" -eq 0 ]; held=$?
check 'edge: a wrong configuration is not tried again' "exit $(show edge ExecMainStatus), $(show edge NRestarts) restarts"

sed -i 's/"camera"/"cameraId"/' /etc/candor-edge/edge.json
systemctl reset-failed candor-edge
. /opt/candor/scripts/hil-units/set-up.sh

for unit in edge cloud setup prepare; do
  rating="$(systemd-analyze security --no-pager "candor-$unit.service" | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')"
  awk "BEGIN { exit !($rating <= 1.4) }"; held=$?
  check "$unit: exposure of 1.4 or less (systemd-analyze security)" "$rating"
done
journalctl --no-pager -o cat -u candor-edge -u candor-cloud -u candor-setup -u candor-prepare >/var/candor-units/journal
poweroff
