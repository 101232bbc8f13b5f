# Read by scripts/hil: the virtual camera body that libgphoto2 carries in its source, and Debian does not build. Needs from it: say, fail,
# checkout.

# Builds vusb.so from Debian's source package of the version that is installed, into $1; kept until that version changes.
build_virtual_body() { # FOLDER
  local folder="$1" apt="$1/apt" sources="$1/source" version key started=$SECONDS keys=/usr/share/keyrings/debian-archive-keyring.gpg port
  version="$(dpkg-query -W -f '${source:Version}' libgphoto2-dev)"
  key="$version $(sha256sum <"$checkout/scripts/hil-ci/vusb-config.h" | cut -c 1-16) $folder"
  if [ -f "$folder/vusb.so" ] && [ "$(cat "$folder/key" 2>/dev/null || true)" = "$key" ]; then return 0; fi
  say "the virtual camera body: fetching the source of libgphoto2 $version (6 MB)"
  rm -rf "$folder"
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$sources"
  : >"$apt/status"
  for suite in bookworm bookworm-updates; do
    printf 'deb-src [signed-by=%s] http://deb.debian.org/debian %s main\n' "$keys" "$suite"
  done >"$apt/sources.list"
  # An apt of its own, as in scripts/arm64/root.sh: nothing of this machine's is changed.
  local options=(
    -o APT::Sandbox::User=root -o "Dir::State=$apt" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt"
    -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o Acquire::Retries=3 -qq
  )
  apt-get "${options[@]}" update >&2 || fail 'apt-get update failed' 'is the network up?'
  (cd "$sources" && apt-get "${options[@]}" --download-only source "libgphoto2=$version" >&2) ||
    fail "the source of libgphoto2 $version cannot be fetched" 'see above'
  tar -x -C "$sources" --strip-components=1 -f "$sources"/libgphoto2_*.orig.tar.xz
  port="$sources/libgphoto2_port"
  # Pictures come from a folder, and the camera is there although no bus is.
  sed -i 's/#undef FUZZ_PTP/#define FUZZ_PTP 1/' "$port/vusb/vcamera.h"
  mkdir -p "$sources/config" "$folder/photos/DCIM/100CANDR"
  cp "$checkout/scripts/hil-ci/vusb-config.h" "$sources/config/config.h"
  gcc -w -D_GPHOTO2_INTERNAL_CODE -shared -fPIC -O2 "-I$sources/config" "-I$port" "-DVCAMERADIR=\"$folder/photos\"" \
    "$port/vusb/vusb.c" "$port/vusb/vcamera.c" -o "$folder/vusb.so" -lgphoto2_port -lexif >&2 ||
    fail 'the virtual camera body cannot be compiled' 'see above'
  rm -rf "$apt" "$sources"
  printf '%s' "$key" >"$folder/key"
  say "the virtual camera body is built, $((SECONDS - started)) s"
}
