# Read by scripts/hil: the Debian package on a real systemd, in a container as that of hil-units: this machine's own root beneath an overlay
# in memory. The cloud runs outside, from this checkout (world.ts); inside.sh installs, enrols, updates and removes.
# Needs from it: say, fail, checkout, usage.

# Checks of inside.sh: fewer means that it ended early.
DEB_CHECKS=16

# Of the run that is under way, for the trap.
deb_folder='' deb_world=''

deb_over() {
  touch "$deb_folder/hil/over" 2>/dev/null || true
  [ -z "$deb_world" ] || wait "$deb_world" 2>/dev/null || true
  umount "$deb_folder/root" 2>/dev/null || true
  rm -rf "$deb_folder"
}

deb() {
  local work machine started=$SECONDS failed total missing=() pair version version_next limit
  while [ $# -gt 0 ]; do
    case "$1" in
      -h | --help) usage; exit 0 ;;
      *) printf 'hil: unknown option %s (see --help)\n' "$1" >&2; exit 2 ;;
    esac
  done
  [ "$(id -u)" -eq 0 ] || fail 'the container needs root' 'run this as root'
  for pair in systemd-nspawn=systemd-container ss=iproute2 dpkg-deb=dpkg; do
    command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] || fail "missing Debian packages: ${missing[*]}" \
    "install them as root: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  ! dpkg-query -W candor-unit >/dev/null 2>&1 || fail 'candor-unit is installed on this machine itself' 'the container would have it as well'
  work="$(mktemp -d /dev/shm/candor-deb-XXXXXX)"
  machine="$work/root"
  mkdir -p "$work/"{upper,work,hil} "$machine"
  deb_folder="$work"
  trap deb_over EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  version="$(node -p 'require(process.argv[1]).version' "$checkout/package.json")"
  version_next="${version%.*}.$((${version##*.} + 1))"
  say "packages $version and $version_next"
  for pair in "$version" "$version_next"; do
    "$checkout/scripts/image" --deb amd64 --version "$pair" --out "$work/packages" || fail 'the package could not be made' 'see above'
  done
  mv "$work/packages/candor-unit_${version}_amd64.deb" "$work/hil/first.deb"
  mv "$work/packages/candor-unit_${version_next}_amd64.deb" "$work/hil/second.deb"
  printf '%s' "$version_next" >"$work/hil/second"
  cp -r "$checkout/scripts/sample-scenes/pictures" "$work/hil/pictures"
  chmod -R a+rX "$work/hil/pictures"
  (cd "$checkout" && exec node --import tsx scripts/hil-deb/world.ts "$work/hil") &
  deb_world=$!
  limit=$((SECONDS + 60))
  until [ -s "$work/hil/claim.json" ]; do
    kill -0 "$deb_world" 2>/dev/null && [ "$SECONDS" -lt "$limit" ] || fail 'the cloud did not start' 'see above'
    sleep 1
  done
  mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$machine" ||
    fail 'no overlay can be mounted' 'this kernel lacks overlayfs, or this is a container that may not mount'
  mkdir -p "$machine"/{hil,var/lib/private,etc/systemd/system/basic.target.wants}
  rm -rf "$machine"/etc/candor-edge "$machine"/opt/candor "$machine"/var/lib/{,private/}candor-edge
  chmod 700 "$machine/var/lib/private"
  printf '[Unit]\nAfter=basic.target\n[Service]\nType=oneshot\nExecStart=/bin/bash /hil/inside.sh\n' >"$machine/etc/systemd/system/candor-deb.service"
  ln -s ../candor-deb.service "$machine/etc/systemd/system/basic.target.wants/"
  cp "$checkout/scripts/hil-deb/inside.sh" "$work/hil/"
  rm -f "$machine/etc/machine-id"
  say 'the container: installs, enrols, updates, removes; about two minutes'
  timeout 900 systemd-nspawn --quiet --keep-unit --register=no --bind-ro="$work/hil:/hil" -D "$machine" -b systemd.unit=basic.target \
    </dev/null >"$work/console" 2>&1 || true
  [ -s "$machine/var/candor-deb/outcome" ] || { tail -n 30 "$work/console" >&2; fail 'the container ended before any check' 'its console: above'; }
  while IFS=$'\t' read -r verdict what seen; do printf '%-4s  %-62s  %s\n' "$verdict" "$what" "$seen"; done <"$machine/var/candor-deb/outcome"
  failed="$(grep -c '^FAIL' "$machine/var/candor-deb/outcome" || true)"
  total="$(wc -l <"$machine/var/candor-deb/outcome")"
  if [ "$failed" -gt 0 ]; then tail -n 30 "$machine"/var/candor-deb/{dpkg,enrol,doctor,journal} >&2 || true; fi
  say "the package under systemd, $((SECONDS - started)) s"
  printf '%s passed, %s failed\n' $((total - failed)) "$failed"
  [ "$failed" -eq 0 ] && [ "$total" -eq "$DEB_CHECKS" ]
}
