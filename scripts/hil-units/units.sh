# Read by scripts/hil: the units of systemd/ under a real systemd. It runs in a container whose root is this machine's own beneath an
# overlay in memory, so that nothing of the machine changes; this checkout is /opt/candor there, read-only.
# scripts/hil-units/prepare.ts makes the cloud and the camera, inside.sh tries them, scripts/hil-units/stored.ts counts what arrived.
# Needs from it: say, fail, checkout, usage.

# Checks of inside.sh: fewer means that it ended early.
UNIT_CHECKS=28

# Of the run that is under way, for the trap.
unit_folder=''

units() {
  local work machine started=$SECONDS failed total missing=() pair
  while [ $# -gt 0 ]; do
    case "$1" in
      -h | --help) usage; exit 0 ;;
      *) printf 'hil: unknown option %s (see --help)\n' "$1" >&2; exit 2 ;;
    esac
  done
  [ "$(id -u)" -eq 0 ] || fail 'the container needs root' 'run this as root'
  for pair in systemd-nspawn=systemd-container ss=iproute2 node=nodejs; do
    command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] || fail "missing Debian packages: ${missing[*]}" \
    "install them as root: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  work="$(mktemp -d /dev/shm/candor-units-XXXXXX)"
  machine="$work/root"
  mkdir -p "$work/"{upper,work,made} "$machine"
  unit_folder="$work"
  trap 'umount "$unit_folder/root" 2>/dev/null || true; rm -rf "$unit_folder"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$machine" ||
    fail 'no overlay can be mounted' 'this kernel lacks overlayfs, or this is a container that may not mount'
  say 'a cloud with a camera'
  node --import "$checkout/node_modules/tsx/dist/loader.mjs" "$checkout/scripts/hil-units/prepare.ts" "$work/made" \
    /opt/candor/scripts/sample-scenes/pictures || fail 'the cloud could not be prepared' 'see above; is ./scripts/setup done?'
  mkdir -p "$machine"/{opt/candor,var/lib/private,etc/systemd/system/basic.target.wants}
  cp "$checkout"/systemd/*.service "$machine/etc/systemd/system/"
  cp "$checkout"/systemd/*.timer "$machine/etc/systemd/system/"
  mkdir -p "$machine/etc/sysusers.d"
  cp "$checkout/systemd/candor-setup.sysusers.conf" "$machine/etc/sysusers.d/candor-setup.conf"
  rm -rf "$machine"/etc/candor-{edge,cloud} "$machine"/var/lib/{,private/}candor-{edge,cloud}
  mv "$work/made/edge" "$machine/etc/candor-edge"
  mv "$work/made/cloud" "$machine/etc/candor-cloud"
  mv "$work/made/data" "$machine/var/lib/private/candor-cloud"
  chmod 700 "$machine/var/lib/private"
  printf '[Unit]\nAfter=basic.target\n[Service]\nType=oneshot\nExecStart=/bin/bash /opt/candor/scripts/hil-units/inside.sh\n' \
    >"$machine/etc/systemd/system/candor-units.service"
  ln -s ../candor-units.service "$machine/etc/systemd/system/basic.target.wants/"
  rm -f "$machine/etc/machine-id"
  say "the container: $(systemd --version 2>/dev/null | head -n 1 || systemctl --version | head -n 1); about six minutes"
  timeout 900 systemd-nspawn --quiet --keep-unit --register=no --bind-ro="$checkout:/opt/candor" -D "$machine" -b systemd.unit=basic.target \
    </dev/null >"$work/console" 2>&1 || true
  [ -s "$machine/var/candor-units/outcome" ] || { tail -n 30 "$work/console" >&2; fail 'the container ended before any check' 'its console: above'; }
  while IFS=$'\t' read -r verdict what seen; do printf '%-4s  %-62s  %s\n' "$verdict" "$what" "$seen"; done <"$machine/var/candor-units/outcome"
  failed="$(grep -c '^FAIL' "$machine/var/candor-units/outcome" || true)"
  total="$(wc -l <"$machine/var/candor-units/outcome")"
  if [ "$failed" -gt 0 ]; then tail -n 40 "$machine/var/candor-units/journal" >&2 || true; fi
  say "the units under systemd, $((SECONDS - started)) s"
  printf '%s passed, %s failed\n' $((total - failed)) "$failed"
  [ "$failed" -eq 0 ] && [ "$total" -eq "$UNIT_CHECKS" ]
}
